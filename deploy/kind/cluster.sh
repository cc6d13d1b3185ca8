# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the scripts that source this
# What the scripts here share. Sourced, not run.

cluster=interlock
context=kind-interlock
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

# Never the cluster that happens to be current: it may be somebody's production.
kube() { kubectl --context "$context" "$@"; }

need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || { echo "kind: $tool is not installed; docs/kind.md names the versions" >&2; exit 1; }
  done
}
