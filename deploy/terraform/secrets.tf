# The key that signs models. Terraform makes the box only: the key is put in by hand, so that no state file has it.
resource "google_secret_manager_secret" "signing_key" {
  secret_id = "interlock-signing-key"

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_secret_manager_secret_iam_member" "signing_key" {
  for_each = local.secret_roles

  secret_id = google_secret_manager_secret.signing_key.id
  role      = each.value
  member    = local.members[each.key]
}
