locals {
  channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  endpoint_filter = "resource.type = \"aiplatform.googleapis.com/Endpoint\" AND resource.labels.endpoint_id = \"${google_vertex_ai_endpoint.this.name}\""
}

resource "google_monitoring_notification_channel" "email" {
  count = var.alert_email == "" ? 0 : 1

  display_name = "Interlock"
  type         = "email"

  labels = {
    email_address = var.alert_email
  }

  depends_on = [google_project_service.this]
}

resource "google_monitoring_alert_policy" "errors" {
  display_name          = "Interlock: ${var.endpoint} fails predictions"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = local.channels

  conditions {
    display_name = "share of failed predictions > ${var.error_share_limit}"

    condition_threshold {
      filter             = "${local.endpoint_filter} AND metric.type = \"aiplatform.googleapis.com/prediction/online/error_count\""
      denominator_filter = "${local.endpoint_filter} AND metric.type = \"aiplatform.googleapis.com/prediction/online/prediction_count\""
      comparison         = "COMPARISON_GT"
      threshold_value    = var.error_share_limit
      duration           = "300s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }

      denominator_aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "`interlock rollback -c config.yaml` takes all traffic back to the version before."
  }
}

resource "google_monitoring_alert_policy" "latency" {
  display_name          = "Interlock: ${var.endpoint} answers slowly"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.channels

  conditions {
    display_name = "p99 > ${var.latency_p99_limit_ms} ms"

    condition_threshold {
      filter          = "${local.endpoint_filter} AND metric.type = \"aiplatform.googleapis.com/prediction/online/prediction_latencies\""
      comparison      = "COMPARISON_GT"
      threshold_value = var.latency_p99_limit_ms
      duration        = "300s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_PERCENTILE_99"
        cross_series_reducer = "REDUCE_MAX"
        group_by_fields      = ["metric.labels.deployed_model_id"]
      }
    }
  }
}

# A pipeline that failed: closed gate, rollback that could not be settled, monitoring that could not look.
resource "google_monitoring_alert_policy" "pipelines" {
  display_name          = "Interlock: a pipeline job failed"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.channels

  conditions {
    display_name = "state FAILED"

    condition_matched_log {
      filter = <<-EOT
        resource.type="aiplatform.googleapis.com/PipelineJob"
        log_id("aiplatform.googleapis.com/pipeline_job_events")
        jsonPayload.state="PIPELINE_STATE_FAILED"
      EOT
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "300s"
    }
  }

  depends_on = [google_project_service.this]
}

# The schedule itself: monitoring that is not even started is silence, and silence is no good news.
resource "google_monitoring_alert_policy" "schedule" {
  display_name          = "Interlock: monitoring is not started"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.channels

  conditions {
    display_name = "Cloud Scheduler could not submit"

    condition_matched_log {
      filter = <<-EOT
        resource.type="cloud_scheduler_job"
        resource.labels.job_id="${google_cloud_scheduler_job.monitoring.name}"
        severity>=ERROR
      EOT
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "300s"
    }
  }
}
