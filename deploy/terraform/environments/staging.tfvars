# Trains what the main branch has, on the data of production, and rehearses every deployment.
environment    = "staging"
log_days       = 30
run_days       = 14
audit_days     = 90
monthly_budget = 200
