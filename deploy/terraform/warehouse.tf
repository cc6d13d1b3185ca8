# Two datasets. `interlock` is what Vertex AI writes: the columns are Google's. `interlock_warehouse` is what
# src/interlock/warehouse.py reads and writes: the same table names as on a laptop, one of them a view of the other.
resource "google_bigquery_dataset" "log" {
  dataset_id                 = "interlock"
  location                   = var.region
  description                = "Requests and answers as Vertex AI logs them."
  delete_contents_on_destroy = !var.protect

  depends_on = [google_project_service.this]
}

resource "google_bigquery_table" "request_response_log" {
  dataset_id               = google_bigquery_dataset.log.dataset_id
  table_id                 = "request_response_log"
  description              = "One row per logged request. Columns: schema v1 of Vertex AI's request-response logging."
  deletion_protection      = var.protect
  require_partition_filter = false # canaries look at the newest rows; the view is pruned by time where it can be
  clustering               = ["endpoint", "deployed_model_id"]

  time_partitioning {
    type          = "DAY"
    field         = "logging_time"
    expiration_ms = var.log_days * 86400000
  }

  schema = jsonencode([
    { name = "endpoint", type = "STRING", mode = "NULLABLE", description = "Id of the endpoint." },
    { name = "deployed_model_id", type = "STRING", mode = "NULLABLE", description = "Which deployed model answered." },
    { name = "logging_time", type = "TIMESTAMP", mode = "NULLABLE", description = "When, UTC." },
    { name = "request_id", type = "NUMERIC", mode = "NULLABLE", description = "Id of the request." },
    { name = "request_payload", type = "STRING", mode = "REPEATED", description = "Instances, JSON each." },
    { name = "response_payload", type = "STRING", mode = "REPEATED", description = "Predictions, JSON each." },
  ])
}

resource "google_bigquery_dataset" "warehouse" {
  dataset_id                 = "interlock_warehouse"
  location                   = var.region
  description                = "Serving log (a view), outcomes and rollout journal."
  delete_contents_on_destroy = !var.protect

  depends_on = [google_project_service.this]
}

resource "google_bigquery_table" "outcomes" {
  dataset_id          = google_bigquery_dataset.warehouse.dataset_id
  table_id            = "outcomes"
  description         = "What turned out to be true, written by the business under the row_key of the request."
  deletion_protection = var.protect
  clustering          = ["row_key"]

  time_partitioning {
    type          = "DAY" # by arrival: `time` is in seconds, and BigQuery partitions by timestamps only
    expiration_ms = var.log_days * 86400000
  }

  schema = jsonencode([
    { name = "row_key", type = "STRING", mode = "REQUIRED", description = "The row_key of the request's instance." },
    { name = "outcome", type = "INTEGER", mode = "REQUIRED", description = "The label: 0 or 1." },
    { name = "amount", type = "FLOAT", mode = "NULLABLE", description = "What it was worth." },
    { name = "time", type = "FLOAT", mode = "REQUIRED", description = "Arrival, seconds since 1970, UTC." },
  ])
}

resource "google_bigquery_table" "rollout_journal" {
  dataset_id          = google_bigquery_dataset.warehouse.dataset_id
  table_id            = "rollout_journal"
  description         = "Every decision and every change of traffic. Never expires."
  deletion_protection = var.protect
  clustering          = ["rollout"]

  schema = jsonencode([
    {
      name                   = "entry"
      type                   = "INTEGER"
      mode                   = "REQUIRED"
      defaultValueExpression = "UNIX_MICROS(CURRENT_TIMESTAMP())" # BigQuery has no sequences
      description            = "Ascending with the time of writing."
    },
    { name = "rollout", type = "STRING", mode = "REQUIRED", description = "Id of the rollout: its pipeline job." },
    { name = "time", type = "FLOAT", mode = "REQUIRED", description = "Seconds since 1970, UTC." },
    { name = "event", type = "STRING", mode = "REQUIRED", description = "What happened." },
    { name = "detail", type = "STRING", mode = "REQUIRED", description = "JSON object." },
  ])
}

resource "google_bigquery_table" "monitoring_log" {
  dataset_id          = google_bigquery_dataset.warehouse.dataset_id
  table_id            = "monitoring_log"
  description         = "Every look of the monitoring pipeline and what it did about it. Never expires."
  deletion_protection = var.protect
  clustering          = ["endpoint"]

  schema = jsonencode([
    {
      name                   = "entry"
      type                   = "INTEGER"
      mode                   = "REQUIRED"
      defaultValueExpression = "UNIX_MICROS(CURRENT_TIMESTAMP())"
      description            = "Ascending with the time of writing."
    },
    { name = "endpoint", type = "STRING", mode = "REQUIRED", description = "Name of the endpoint." },
    { name = "model_version", type = "STRING", mode = "REQUIRED", description = "The version in production." },
    { name = "time", type = "FLOAT", mode = "REQUIRED", description = "Seconds since 1970, UTC." },
    { name = "verdict", type = "STRING", mode = "REQUIRED", description = "What it found." },
    { name = "actions", type = "STRING", mode = "REQUIRED", description = "JSON array of names." },
    { name = "detail", type = "STRING", mode = "REQUIRED", description = "JSON object." },
  ])
}

resource "google_bigquery_table" "serving_log" {
  dataset_id          = google_bigquery_dataset.warehouse.dataset_id
  table_id            = "request_response_log"
  description         = "Vertex AI's log in the columns that metrics read."
  deletion_protection = false # a view holds nothing

  view {
    use_legacy_sql = false
    query = templatefile("${path.module}/sql/request_response_log.sql", {
      log     = "${var.project}.${google_bigquery_dataset.log.dataset_id}.${google_bigquery_table.request_response_log.table_id}"
      journal = "${var.project}.${google_bigquery_dataset.warehouse.dataset_id}.${google_bigquery_table.rollout_journal.table_id}"
    })
  }
}

resource "google_bigquery_table" "decisions" {
  dataset_id          = google_bigquery_dataset.warehouse.dataset_id
  table_id            = "decisions"
  description         = "Each decision beside its outcome, for dashboards."
  deletion_protection = false

  view {
    use_legacy_sql = false
    query = templatefile("${path.module}/sql/decisions.sql", {
      log      = "${var.project}.${google_bigquery_dataset.warehouse.dataset_id}.${google_bigquery_table.serving_log.table_id}"
      outcomes = "${var.project}.${google_bigquery_dataset.warehouse.dataset_id}.${google_bigquery_table.outcomes.table_id}"
    })
  }
}

resource "google_bigquery_dataset_iam_member" "log" {
  for_each = local.log_roles

  dataset_id = google_bigquery_dataset.log.dataset_id
  role       = each.value
  member     = local.members[each.key]
}

resource "google_bigquery_dataset_iam_member" "warehouse" {
  for_each = local.warehouse_roles

  dataset_id = google_bigquery_dataset.warehouse.dataset_id
  role       = each.value
  member     = local.members[each.key]
}

resource "google_bigquery_dataset_iam_member" "source" {
  for_each = var.source_datasets

  dataset_id = each.value
  role       = "roles/bigquery.dataViewer"
  member     = local.members["training"]
}
