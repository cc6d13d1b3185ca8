#!/usr/bin/env bash
# The container tests in CI: a Docker daemon if none answers, base images, Interlock's images, tests.
#
# On a person's machine (CI is not true) nothing is installed or started: a Docker daemon that answers is used, and its
# base images are the public ones. INTERLOCK_CACHE is where CI keeps what took long to make.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
finish() {
  .ci/dockerd.sh down "$work"
  rm -rf "$work"
}
trap finish EXIT

if [ "${CI:-}" = true ]; then
  .ci/dockerd.sh up "$work"
  bases=$(.ci/stand-ins.sh) # not in one line with export, which would hide a failure
  # shellcheck disable=SC2086,SC2163 # words of the form NAME=VALUE
  export $bases INTERLOCK_CONTAINERS=required
fi
if docker version >/dev/null 2>&1; then
  started=$SECONDS
  make images
  echo "containers: images there after $((SECONDS - started)) s"
fi
make test-containers
