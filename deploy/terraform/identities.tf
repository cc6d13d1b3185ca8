# One identity per stage, each with the few roles it needs; docs/google-cloud.md has the same table, and a test holds
# the two together. A Vertex AI pipeline job runs as one account, so a stage here is a pipeline or a kind of build.
locals {
  identities = {
    pr = {
      stage   = "builds of pull requests: untrusted code, so it can write its log and nothing else"
      project = ["roles/logging.logWriter"]
      acts_as = []
    }
    ci = {
      stage   = "builds of the main branch: images, templates, training in staging"
      project = ["roles/logging.logWriter", "roles/aiplatform.user"]
      acts_as = ["training"]
    }
    release = {
      stage   = "builds of tags, and the build that starts a deployment"
      project = ["roles/logging.logWriter", "roles/aiplatform.user"]
      acts_as = ["deployment"]
    }
    training = {
      stage   = "training pipeline"
      project = ["roles/logging.logWriter", "roles/aiplatform.user", "roles/bigquery.jobUser"]
      acts_as = []
    }
    deployment = {
      stage   = "deployment pipeline"
      project = ["roles/logging.logWriter", "roles/aiplatform.user", "roles/bigquery.jobUser", "roles/monitoring.viewer"]
      acts_as = []
    }
    monitoring = {
      stage = "monitoring pipeline, which writes its verdict as a metric and may submit training"
      project = [
        "roles/logging.logWriter", "roles/aiplatform.user", "roles/bigquery.jobUser", "roles/monitoring.viewer",
        "roles/monitoring.metricWriter",
      ]
      acts_as = ["training"]
    }
    scheduler = {
      stage   = "Cloud Scheduler, which submits the monitoring pipeline"
      project = ["roles/aiplatform.user"]
      acts_as = ["monitoring"]
    }
  }

  # Of the repository of build layers, whose tags move.
  cache_roles = {
    ci      = "roles/artifactregistry.writer"
    release = "roles/artifactregistry.writer"
  }

  # The client looks at the bucket before it submits a job: that is what legacyBucketReader is for.
  bucket_roles = {
    ci         = ["roles/storage.objectCreator", "roles/storage.legacyBucketReader"]
    release    = ["roles/storage.objectCreator", "roles/storage.legacyBucketReader"]
    training   = ["roles/storage.objectUser"]
    deployment = ["roles/storage.objectUser"]
    monitoring = ["roles/storage.objectUser"]
  }

  image_roles = {
    ci         = "roles/artifactregistry.writer"
    release    = "roles/artifactregistry.writer"
    training   = "roles/artifactregistry.reader"
    deployment = "roles/artifactregistry.reader"
    monitoring = "roles/artifactregistry.reader"
  }

  template_roles = {
    ci         = "roles/artifactregistry.writer"
    release    = "roles/artifactregistry.writer"
    monitoring = "roles/artifactregistry.reader"
    scheduler  = "roles/artifactregistry.reader"
  }

  log_roles = {
    deployment = "roles/bigquery.dataViewer"
    monitoring = "roles/bigquery.dataViewer"
  }

  warehouse_roles = {
    deployment = "roles/bigquery.dataEditor"
    monitoring = "roles/bigquery.dataEditor"
  }

  secret_roles = {
    training = "roles/secretmanager.secretAccessor"
  }

  project_grants = merge([
    for name, identity in local.identities : {
      for role in identity.project : "${name} ${role}" => { name = name, role = role }
    }
  ]...)

  bucket_grants = merge([
    for name, roles in local.bucket_roles : {
      for role in roles : "${name} ${role}" => { name = name, role = role }
    }
  ]...)

  acting_grants = merge([
    for name, identity in local.identities : {
      for target in identity.acts_as : "${name} as ${target}" => { name = name, target = target }
    }
  ]...)

  members = { for name, account in google_service_account.stage : name => "serviceAccount:${account.email}" }
}

resource "google_service_account" "stage" {
  for_each = local.identities

  account_id   = "interlock-${each.key}"
  display_name = "Interlock: ${each.key}"
  description  = each.value.stage

  depends_on = [google_project_service.this]
}

resource "google_project_iam_member" "stage" {
  for_each = local.project_grants

  project = var.project
  role    = each.value.role
  member  = local.members[each.value.name]
}

# Whoever submits a job must be allowed to run it as that job's account.
resource "google_service_account_iam_member" "acts_as" {
  for_each = local.acting_grants

  service_account_id = google_service_account.stage[each.value.target].name
  role               = "roles/iam.serviceAccountUser"
  member             = local.members[each.value.name]
}
