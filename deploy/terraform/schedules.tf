# Monitoring as a pipeline job on a schedule. Cloud Scheduler makes the same call as a person's client does.
resource "google_cloud_scheduler_job" "monitoring" {
  name             = "interlock-monitoring"
  description      = "Submits the monitoring pipeline on the version in production."
  region           = var.region
  schedule         = var.monitoring_schedule
  time_zone        = "Etc/UTC"
  attempt_deadline = "60s"

  retry_config {
    retry_count          = 3
    min_backoff_duration = "30s"
  }

  http_target {
    http_method = "POST"
    uri         = "https://${var.region}-aiplatform.googleapis.com/v1/projects/${var.project}/locations/${var.region}/pipelineJobs"

    headers = {
      "Content-Type" = "application/json"
    }

    body = base64encode(jsonencode({
      displayName    = "${var.endpoint}-monitoring"
      templateUri    = "https://${var.region}-kfp.pkg.dev/${var.project}/${google_artifact_registry_repository.templates.repository_id}/interlock-monitoring/${var.release}"
      serviceAccount = google_service_account.stage["monitoring"].email
      runtimeConfig = {
        gcsOutputDirectory = "gs://${google_storage_bucket.artifacts.name}/pipeline_root"
        parameterValues = {
          config = file("${path.module}/../../${var.use_case}")
          place  = jsonencode(local.places["monitoring"])
          hours  = var.monitoring_hours
        }
      }
    }))

    oauth_token {
      service_account_email = google_service_account.stage["scheduler"].email
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }
}
