locals {
  triggers = var.repository == "" ? 0 : 1

  release_ref = startswith(var.release, "v") ? "refs/tags/${var.release}" : "refs/heads/${var.release}"
}

# The alias `staging` on a model version starts a deployment: the audit log has every alias that is set, and this sink
# hands those entries on. Nobody has to remember to publish a message, and none can be sent without setting the alias.
resource "google_pubsub_topic" "staged" {
  name                       = "interlock-staged"
  message_retention_duration = "604800s"

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_project_service.this]
}

resource "google_logging_project_sink" "staged" {
  name                   = "interlock-staged"
  destination            = "pubsub.googleapis.com/${google_pubsub_topic.staged.id}"
  unique_writer_identity = true
  filter                 = <<-EOT
    log_id("cloudaudit.googleapis.com/activity")
    protoPayload.serviceName="aiplatform.googleapis.com"
    protoPayload.methodName:"ModelService.MergeVersionAliases"
    protoPayload.request.versionAliases="staging"
    -protoPayload.status.code>0
  EOT
}

resource "google_pubsub_topic_iam_member" "staged" {
  topic  = google_pubsub_topic.staged.name
  role   = "roles/pubsub.publisher"
  member = google_logging_project_sink.staged.writer_identity
}

resource "google_cloudbuild_trigger" "pull_request" {
  count = local.triggers

  name            = "interlock-pull-request"
  description     = "Checks and tests; can write its log and nothing else."
  location        = var.region
  service_account = google_service_account.stage["pr"].id
  filename        = "deploy/cloudbuild/pr.yaml"

  repository_event_config {
    repository = var.repository

    pull_request {
      branch          = "^main$"
      comment_control = "COMMENTS_ENABLED_FOR_EXTERNAL_CONTRIBUTORS_ONLY"
    }
  }
}

resource "google_cloudbuild_trigger" "push" {
  count = local.triggers

  name            = "interlock-push"
  description     = "main: check, test, images, templates; in staging also training."
  location        = var.region
  service_account = google_service_account.stage["ci"].id
  filename        = "cloudbuild.yaml"

  substitutions = {
    _REGION          = var.region
    _ENVIRONMENT     = var.environment
    _ARTIFACT_BUCKET = google_storage_bucket.artifacts.name
    _CONFIG          = var.use_case
  }

  repository_event_config {
    repository = var.repository

    push {
      branch = "^main$"
    }
  }
}

resource "google_cloudbuild_trigger" "tag" {
  count = local.triggers

  name            = "interlock-release"
  description     = "A tag vX.Y.Z becomes a release; a person approves it in production."
  location        = var.region
  service_account = google_service_account.stage["release"].id
  filename        = "deploy/cloudbuild/release.yaml"

  substitutions = {
    _REGION          = var.region
    _ARTIFACT_BUCKET = google_storage_bucket.artifacts.name
  }

  repository_event_config {
    repository = var.repository

    push {
      tag = "^v[0-9]+\\.[0-9]+\\.[0-9]+$"
    }
  }

  approval_config {
    approval_required = var.environment == "prod"
  }
}

resource "google_cloudbuild_trigger" "staged" {
  count = local.triggers

  name            = "interlock-promote"
  description     = "A version got alias staging: start the deployment pipeline."
  location        = var.region
  service_account = google_service_account.stage["release"].id

  substitutions = {
    _REGION          = var.region
    _ARTIFACT_BUCKET = google_storage_bucket.artifacts.name
    _RELEASE         = var.release
    _CONFIG          = var.use_case
  }

  pubsub_config {
    topic = google_pubsub_topic.staged.id
  }

  source_to_build {
    repository = var.repository
    ref        = local.release_ref
    repo_type  = var.repository_type
  }

  git_file_source {
    path       = "deploy/cloudbuild/promote.yaml"
    repository = var.repository
    revision   = local.release_ref
    repo_type  = var.repository_type
  }
}
