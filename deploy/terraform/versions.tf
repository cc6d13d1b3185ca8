terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }

  # One state per environment: terraform init -backend-config="bucket=PROJECT-terraform" -backend-config="prefix=interlock"
  backend "gcs" {}
}

provider "google" {
  project               = var.project
  region                = var.region
  billing_project       = var.project
  user_project_override = true # the budget API is charged to this project, not to the person's default one

  default_labels = {
    app         = "interlock"
    environment = var.environment
  }
}
