variable "project" {
  description = "Id of the Google Cloud project; one project per environment."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project id has 6 to 30 lower-case letters, digits and hyphens."
  }
}

variable "environment" {
  description = "What the project is for: dev builds branches, staging trains what main has, prod serves."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "One of dev, staging, prod."
  }
}

variable "region" {
  description = "Region of everything: Vertex AI, buckets, BigQuery, Artifact Registry and builds."
  type        = string
  default     = "us-central1"
}

variable "use_case" {
  description = "Config file of the use case, relative to the repository; monitoring is scheduled with its text."
  type        = string
  default     = "examples/flights/config.yaml"
}

variable "endpoint" {
  description = "Name of the Vertex AI endpoint: the `name` in the config file."
  type        = string
  default     = "flights"
}

variable "repository" {
  description = "Cloud Build repository (2nd generation), projects/…/locations/…/connections/…/repositories/…; '' makes no triggers."
  type        = string
  default     = ""
}

variable "repository_type" {
  description = "Where the repository is hosted, as Cloud Build names it."
  type        = string
  default     = "GITHUB"

  validation {
    condition     = contains(["GITHUB", "BITBUCKET_SERVER", "CLOUD_SOURCE_REPOSITORIES", "UNKNOWN"], var.repository_type)
    error_message = "One of GITHUB, BITBUCKET_SERVER, CLOUD_SOURCE_REPOSITORIES, UNKNOWN."
  }
}

variable "release" {
  description = "Git tag or branch whose images and templates the schedules and the promotion use."
  type        = string
  default     = "main"
}

variable "source_datasets" {
  description = "BigQuery datasets of this project that training reads."
  type        = set(string)
  default     = []
}

variable "log_days" {
  description = "Days a request, its answer and its outcome are kept in BigQuery."
  type        = number
  default     = 90
}

variable "run_days" {
  description = "Days the artifacts of a pipeline run are kept; registered models stay."
  type        = number
  default     = 30
}

variable "audit_days" {
  description = "Days during which the audit bucket refuses to delete or change who moved which alias and traffic."
  type        = number
  default     = 400
}

variable "request_log_share" {
  description = "Share of the requests that the endpoint logs. Canaries and monitoring see only these."
  type        = number
  default     = 1
}

variable "monitoring_schedule" {
  description = "Cron of the monitoring pipeline, in UTC."
  type        = string
  default     = "15 * * * *"
}

variable "monitoring_hours" {
  description = "How far back each monitoring run looks."
  type        = number
  default     = 24
}

variable "alert_email" {
  description = "Where alerts and budget warnings go; '' sends none."
  type        = string
  default     = ""
}

variable "error_share_limit" {
  description = "Share of failed predictions over five minutes that raises an alert."
  type        = number
  default     = 0.01
}

variable "latency_p99_limit_ms" {
  description = "99th percentile of the prediction latency over five minutes, in milliseconds, that raises an alert."
  type        = number
  default     = 500
}

variable "billing_account" {
  description = "Billing account of the project, for the budget; '' makes none."
  type        = string
  default     = ""
}

variable "monthly_budget" {
  description = "Budget in whole units of the billing account's currency; warnings at 50, 80 and 100 percent."
  type        = number
  default     = 200
}

variable "access_policy" {
  description = "Number of the organisation's access policy, to put the project into a VPC-SC perimeter; '' for none."
  type        = string
  default     = ""
}

variable "private_endpoint_projects" {
  description = "Projects that may reach the endpoint by Private Service Connect; [] leaves it public (with IAM)."
  type        = list(string)
  default     = []
}

variable "protect" {
  description = "Refuse to delete tables and buckets that hold anything."
  type        = bool
  default     = true
}
