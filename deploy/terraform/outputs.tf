# contracts.Place, one per pipeline: they differ in the account that the job runs as.
locals {
  places = {
    for name in ["training", "deployment", "monitoring"] : name => {
      contract        = "place/v1"
      project         = var.project
      location        = var.region
      bucket          = google_storage_bucket.artifacts.name
      warehouse       = "bigquery://${var.project}/${google_bigquery_dataset.warehouse.dataset_id}"
      service_account = google_service_account.stage[name].email
    }
  }
}

output "places" {
  description = "The `place` of each pipeline, as JSON texts."
  value       = { for name, place in local.places : name => jsonencode(place) }
}

output "images" {
  description = "Where images are pushed."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "templates" {
  description = "Where compiled pipelines are pushed."
  value       = "https://${var.region}-kfp.pkg.dev/${var.project}/${google_artifact_registry_repository.templates.repository_id}"
}

output "signing_key" {
  description = "Secret that holds the key which signs models, for `signing.private_key` of the config."
  value       = "${google_secret_manager_secret.signing_key.id}/versions/latest"
}
