#!/usr/bin/env bash
# Submit a pipeline on Google Cloud and leave it to run there: submit.sh training|deployment
#
# From the environment: PROJECT, REGION, BUCKET, CONFIG (the use case's file); TEMPLATE (a compiled pipeline, a file or an
# address; default: what `make push-templates` has published); START and END of the training window. With ONLY and HERE,
# nothing happens unless the two are equal.
set -euo pipefail
cd "$(dirname "$0")/../.."

pipeline=${1:?submit: training or deployment}
if [ -n "${ONLY:-}" ] && [ "$ONLY" != "${HERE:-}" ]; then
  echo "submit: $pipeline is started on '$ONLY' only, this is '${HERE:-}'; nothing to do"
  exit 0
fi
for name in PROJECT REGION BUCKET CONFIG; do
  [ -n "${!name:-}" ] || { echo "submit: set $name; docs/cloud-build.md says what to" >&2; exit 2; }
done
mkdir -p build
# The same as the output `places` of deploy/terraform.
cat >build/place.json <<PLACE
{
  "contract": "place/v1",
  "project": "$PROJECT",
  "location": "$REGION",
  "bucket": "$BUCKET",
  "warehouse": "bigquery://$PROJECT/interlock_warehouse",
  "service_account": "interlock-$pipeline@$PROJECT.iam.gserviceaccount.com"
}
PLACE
exec .venv/ml/bin/interlock submit "$pipeline" --config "$CONFIG" --place build/place.json \
  --template "${TEMPLATE:-build/published/vertex/$pipeline.yaml}" --start "${START:-}" --end "${END:-}"
