#!/usr/bin/env bash
# Port-forwards on loopback until Ctrl-C. With a command behind it, they last as long as the command: open.sh COMMAND...
#
# PORT (default 8080) is Kubeflow Pipelines; the next three are the emulator, the storage and the warehouse.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=deploy/kind/cluster.sh
. deploy/kind/cluster.sh
need kubectl curl
port=${PORT:-8080}

forwards=()
trap 'kill "${forwards[@]}" 2>/dev/null || true' EXIT
forward() { # namespace, service, ports
  # Not by the function of cluster.sh: a shell would stand between, and be killed in its place.
  kubectl --context "$context" port-forward --address 127.0.0.1 --namespace "$1" "service/$2" "$3" >/dev/null &
  forwards+=($!)
}
forward kubeflow ml-pipeline-ui "$port:80"
forward interlock emulator "$((port + 1)):8080"
forward interlock storage "$((port + 2)):9023"
forward interlock postgres "$((port + 3)):5432"

for _ in $(seq 60); do
  if curl --silent --output /dev/null --max-time 2 "http://127.0.0.1:$port"; then break; fi
  kill -0 "${forwards[0]}" 2>/dev/null ||
    { echo "kind: port $port cannot be forwarded; is it taken (set PORT)? is the cluster up (make kind-up)?" >&2; exit 1; }
  sleep 1
done
cat <<ADDRESSES
kind: Kubeflow Pipelines  http://127.0.0.1:$port
kind: Vertex AI API       http://127.0.0.1:$((port + 1))   (Authorization: Bearer TOKEN)
kind: storage             http://127.0.0.1:$((port + 2))
kind: warehouse           postgresql://postgres@127.0.0.1:$((port + 3))/postgres   (PGPASSWORD)
  token and password: kubectl --context $context -n interlock get secret interlock -o yaml, base64
ADDRESSES
if [ $# -gt 0 ]; then "$@"; else wait "${forwards[0]}"; fi
