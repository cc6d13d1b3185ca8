#!/usr/bin/env bash
# Push what `make images` built, and write down by which digest the registry knows it.
#
# From the environment: REPOSITORY (such as europe-docker.pkg.dev/project/interlock) and TAG. Writes build/images.yaml,
# lines of NAME: REFERENCE@sha256:DIGEST, for `interlock compile --images`.
set -euo pipefail
cd "$(dirname "$0")/../.."

repository=${REPOSITORY:?push-images: set REPOSITORY to where images are pushed} tag=${TAG:?push-images: set TAG}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
mkdir -p build
written=$(mktemp)
trap 'rm -f "$written"' EXIT

for name in interlock-ml interlock-data interlock-serve interlock-emulator; do
  reference=$repository/$name:$tag
  docker tag "$name:$version" "$reference"
  if ! docker push --quiet "$reference" >/dev/null; then
    # Tags are immutable in staging and production. One that is there was pushed by an earlier, tested build of $tag.
    docker pull --quiet "$reference" >/dev/null ||
      { echo "push-images: $reference can be neither pushed nor pulled; log in to the registry" >&2; exit 1; }
    echo "push-images: $reference was there already and stays"
  fi
  digest=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$reference" |
    grep --fixed-strings --max-count=1 "$repository/$name@sha256:") ||
    { echo "push-images: the registry gave no digest for $reference" >&2; exit 1; }
  echo "$name: $digest" >>"$written"
  echo "push-images: $digest"
done
cp "$written" build/images.yaml
