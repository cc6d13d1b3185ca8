# The endpoint stands before the first deployment, so that logging and network are reviewed here and not set by a
# pipeline. What is on it, and how traffic is split, belongs to the deployment pipeline.
resource "google_vertex_ai_endpoint" "this" {
  name         = var.endpoint
  display_name = var.endpoint
  description  = "Made by Terraform; traffic is moved by Interlock only."
  location     = var.region
  region       = var.region

  predict_request_response_logging_config {
    enabled       = true
    sampling_rate = var.request_log_share

    bigquery_destination {
      output_uri = "bq://${var.project}.${google_bigquery_dataset.log.dataset_id}.${google_bigquery_table.request_response_log.table_id}"
    }
  }

  dynamic "private_service_connect_config" {
    for_each = length(var.private_endpoint_projects) > 0 ? [1] : []

    content {
      enable_private_service_connect = true
      project_allowlist              = var.private_endpoint_projects
    }
  }

  lifecycle {
    ignore_changes = [traffic_split]
  }

  depends_on = [google_project_service.this]
}
