#!/usr/bin/env bash
# Remove the cluster with everything in it; no other cluster is touched.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=deploy/kind/cluster.sh
. deploy/kind/cluster.sh
need kind
kind delete cluster --name "$cluster"
