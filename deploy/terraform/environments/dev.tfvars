# For branches: small, short-lived, easy to throw away. project = "…" is given on the command line or here.
environment    = "dev"
log_days       = 14
run_days       = 7
audit_days     = 30
monthly_budget = 50
protect        = false
