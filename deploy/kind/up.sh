#!/usr/bin/env bash
# A kind cluster with Kubeflow Pipelines and the emulator. Run again, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=deploy/kind/cluster.sh
. deploy/kind/cluster.sh
need docker kind kubectl openssl git # kubectl fetches Kubeflow Pipelines by git

images=()
for target in ml data serve emulator; do
  image=interlock-$target:$version
  docker image inspect "$image" >/dev/null 2>&1 || { echo "kind: no image $image; run make images" >&2; exit 1; }
  images+=("$image")
done

if ! kind get clusters 2>/dev/null | grep --quiet --line-regexp "$cluster"; then
  kind create cluster --config deploy/kind/cluster.yaml --wait 180s
fi
echo "kind: loading ${images[*]}"
kind load docker-image --name "$cluster" "${images[@]}"

echo "kind: Kubeflow Pipelines"
kube apply --kustomize deploy/kind/kubeflow-pipelines/cluster
kube wait --for condition=established --timeout 60s crd/applications.app.k8s.io
kube apply --kustomize deploy/kind/kubeflow-pipelines/platform

# The same Secret in both namespaces: the steps run in one, the emulator in the other. Made once and kept.
kube apply --filename deploy/kind/base/namespace.yaml
if ! kube get secret interlock --namespace interlock >/dev/null 2>&1; then
  token=$(openssl rand -hex 24) password=$(openssl rand -hex 24)
else
  token=$(kube get secret interlock --namespace interlock --output 'go-template={{.data.token | base64decode}}')
  password=$(kube get secret interlock --namespace interlock --output 'go-template={{.data.password | base64decode}}')
fi
for namespace in interlock kubeflow; do
  # From a pipe: arguments are seen by everybody on the machine.
  printf 'token=%s\npassword=%s\n' "$token" "$password" |
    kube create secret generic interlock --namespace "$namespace" --from-env-file /dev/stdin --dry-run=client --output yaml |
    kube apply --filename -
done

kube apply --kustomize deploy/kind/overlays/kind
for workload in statefulset/postgres deployment/storage deployment/emulator; do
  kube rollout status --namespace interlock --timeout 300s "$workload"
done
for workload in deployment/ml-pipeline deployment/ml-pipeline-ui; do
  kube rollout status --namespace kubeflow --timeout 900s "$workload"
done

cat <<'NEXT'
kind: ready
  make kind-run     training, then deployment, on the compiled Kubernetes templates
  make kind-open    the pages of Kubeflow Pipelines and the emulator's API on loopback
  make kind-down    remove the cluster with everything in it
NEXT
