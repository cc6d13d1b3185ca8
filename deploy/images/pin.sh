#!/usr/bin/env bash
# Write the digest behind every public image that is built on or run, beside its tag: pin.sh [ROOT]
#
# It asks the registry by pulling, so it needs a Docker daemon and a network. A digest that is there already is replaced:
# look at the difference and commit it. The node image of kind is pinned by the release notes of kind.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"

files=(deploy/images/Dockerfile deploy/images/build.sh cloudbuild.yaml deploy/cloudbuild/*.yaml deploy/kind/base/postgres.yaml)
name='(python:3\.[0-9]+-(slim-)?trixie|postgres:[0-9]+|moby/buildkit:[a-z0-9-]+)'
mapfile -t images < <(grep --only-matching --no-filename --extended-regexp "$name" "${files[@]}" | sort --unique)
for image in "${images[@]}"; do
  docker pull --quiet "$image" >/dev/null
  digest=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$image" |
    grep --max-count=1 "^${image%:*}@sha256:[0-9a-f]*$") ||
    { echo "pin-bases: the registry gave no digest for $image" >&2; exit 1; }
  # Not where the name only goes on, as in 3.11-trixie-backports.
  digest=${digest#*@}
  sed --in-place --regexp-extended "s#\\b$image(@sha256:[0-9a-f]{64})?(\$|[^a-z0-9@.-])#$image@$digest\\2#" "${files[@]}"
  echo "pin-bases: $image@$digest"
done
