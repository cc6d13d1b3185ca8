# Serves. Images and templates come from a tag.
environment       = "prod"
release           = "v0.1.0"
log_days          = 180
run_days          = 90
audit_days        = 400
error_share_limit = 0.005
monthly_budget    = 1000
