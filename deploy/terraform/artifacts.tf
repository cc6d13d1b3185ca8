resource "google_artifact_registry_repository" "images" {
  repository_id = "interlock"
  location      = var.region
  format        = "DOCKER"
  description   = "Images of the pipeline steps, the model server and the emulator."

  docker_config {
    immutable_tags = var.environment != "dev"
  }

  cleanup_policies {
    id     = "delete-untagged"
    action = "DELETE"

    condition {
      tag_state  = "UNTAGGED"
      older_than = "2592000s"
    }
  }

  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"

    most_recent_versions {
      keep_count = 20
    }
  }

  depends_on = [google_project_service.this]
}

# Layers of earlier builds, under tags that move: apart from the images that are deployed, whose tags do not.
resource "google_artifact_registry_repository" "cache" {
  repository_id = "interlock-cache"
  location      = var.region
  format        = "DOCKER"
  description   = "Layers that builds start from."

  cleanup_policies {
    id     = "delete-untagged"
    action = "DELETE"

    condition {
      tag_state  = "UNTAGGED"
      older_than = "604800s"
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_artifact_registry_repository_iam_member" "cache" {
  for_each = local.cache_roles

  repository = google_artifact_registry_repository.cache.name
  location   = var.region
  role       = each.value
  member     = local.members[each.key]
}

resource "google_artifact_registry_repository" "templates" {
  repository_id = "interlock-pipelines"
  location      = var.region
  format        = "KFP"
  description   = "Compiled pipelines."

  depends_on = [google_project_service.this]
}

resource "google_artifact_registry_repository_iam_member" "images" {
  for_each = local.image_roles

  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = each.value
  member     = local.members[each.key]
}

resource "google_artifact_registry_repository_iam_member" "templates" {
  for_each = local.template_roles

  repository = google_artifact_registry_repository.templates.name
  location   = var.region
  role       = each.value
  member     = local.members[each.key]
}

# Models and pipeline runs. No retention policy here: a step that is run again writes the same object again, which a
# policy would refuse. Versioning and soft delete bring back what was overwritten or deleted.
resource "google_storage_bucket" "artifacts" {
  name                        = "${var.project}-interlock"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.protect

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = 604800
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      age            = var.run_days
      matches_prefix = ["pipeline_root/"]
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      days_since_noncurrent_time = var.run_days
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_storage_bucket_iam_member" "artifacts" {
  for_each = local.bucket_grants

  bucket = google_storage_bucket.artifacts.name
  role   = each.value.role
  member = local.members[each.value.name]
}

# Who moved which alias and which traffic, out of everybody's reach for a while.
resource "google_storage_bucket" "audit" {
  name                        = "${var.project}-interlock-audit"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.protect

  retention_policy {
    retention_period = var.audit_days * 86400
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      age = var.audit_days + 1
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_logging_project_sink" "audit" {
  name                   = "interlock-audit"
  destination            = "storage.googleapis.com/${google_storage_bucket.audit.name}"
  unique_writer_identity = true
  filter                 = "protoPayload.serviceName=\"aiplatform.googleapis.com\" AND log_id(\"cloudaudit.googleapis.com/activity\")"
}

resource "google_storage_bucket_iam_member" "audit" {
  bucket = google_storage_bucket.audit.name
  role   = "roles/storage.objectCreator"
  member = google_logging_project_sink.audit.writer_identity
}
