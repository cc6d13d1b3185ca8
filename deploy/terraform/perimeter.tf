# Optional: data can be copied out of the project by nobody, whatever role they hold. Needs an organisation.
resource "google_access_context_manager_service_perimeter" "this" {
  count = var.access_policy == "" ? 0 : 1

  parent = "accessPolicies/${var.access_policy}"
  name   = "accessPolicies/${var.access_policy}/servicePerimeters/interlock_${var.environment}"
  title  = "interlock_${var.environment}"

  status {
    resources = ["projects/${data.google_project.this.number}"]

    restricted_services = [
      "aiplatform.googleapis.com",
      "artifactregistry.googleapis.com",
      "bigquery.googleapis.com",
      "secretmanager.googleapis.com",
      "storage.googleapis.com",
    ]
  }
}
