#!/usr/bin/env bash
# Training, then deployment, on the cluster: the compiled Kubernetes templates, run by Kubeflow Pipelines.
#
# From the environment: CONFIG (default: the example), START and END of the training window, PIPELINES (default: both),
# PORT (see open.sh), SECONDS_LONG (how long a run is waited for).
set -euo pipefail
cd "$(dirname "$0")/../.."

config=${CONFIG:-examples/flights/config.yaml}
if [ "${1:-}" != forwarded ]; then exec deploy/kind/open.sh deploy/kind/run.sh forwarded; fi

arguments=$(mktemp) result=$(mktemp)
trap 'rm -f "$arguments" "$result"' EXIT
for pipeline in ${PIPELINES:-training deployment}; do
  .venv/ml/bin/python deploy/kind/parameters.py "$pipeline" "$config" "${START:-}" "${END:-2013-07-01}" >"$arguments"
  mapfile -d '' parameters <"$arguments"
  echo "kind: $pipeline"
  .venv/ml/bin/kfp --endpoint "http://127.0.0.1:${PORT:-8080}" --output json run create \
    --experiment-name interlock --run-name "$pipeline $(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    --package-file "deploy/templates/kubernetes/$pipeline.yaml" \
    --timeout "${SECONDS_LONG:-7200}" "${parameters[@]}" >"$result"
  sed -n '/details: /p' "$result"
  # The client ends with 0 whatever became of the run.
  state=$(.venv/ml/bin/python -c 'import json, sys; text = sys.stdin.read(); print(json.loads(text[text.index("{"):])["state"])' <"$result")
  if [ "$state" != SUCCEEDED ]; then
    echo "kind: $pipeline ended $state; its page says why" >&2
    exit 1
  fi
done
