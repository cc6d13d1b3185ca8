#!/usr/bin/env bash
# Build the images: deploy/images/build.sh [TARGET...]
#
# From the environment: BASE_IMAGE and BUILD_IMAGE (see the Dockerfile), PIP_CONFIG_FILE and UV_CONFIG_FILE (where the
# packages come from), REPOSITORY (a prefix, such as europe-docker.pkg.dev/project/interlock), CACHE: where the layers of
# every stage are kept from one build to the next, a repository whose tags may move, or a folder (/…). The daemon's own
# builder cannot write such a cache, so one in a container does, unless BUILDX_BUILDER names another.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain --untracked-files=no 2>/dev/null)" ] || revision+=+
targets=("$@")
[ $# -gt 0 ] || targets=(serve emulator ml data)

# shellcheck source=deploy/images/client.sh
. deploy/images/client.sh
[ -n "$client" ] || { echo "images: no docker client with BuildKit; install docker and its buildx plugin" >&2; exit 1; }

arguments=(--build-arg "VERSION=$version" --build-arg "REVISION=$revision")
for name in BASE_IMAGE BUILD_IMAGE; do
  [ -z "${!name:-}" ] || arguments+=(--build-arg "$name=${!name}")
done
[ -z "${PIP_CONFIG_FILE:-}" ] || arguments+=(--secret "id=pip,src=$PIP_CONFIG_FILE")
[ -z "${UV_CONFIG_FILE:-}" ] || arguments+=(--secret "id=uv,src=$UV_CONFIG_FILE")

if [ -n "${CACHE:-}" ]; then
  export BUILDX_BUILDER=${BUILDX_BUILDER:-interlock}
  [ "$BUILDX_BUILDER" != interlock ] || "$client" buildx inspect >/dev/null 2>&1 ||
    "$client" buildx create --name interlock --driver docker-container \
      --driver-opt image=moby/buildkit:buildx-stable-1 >/dev/null
fi

for target in "${targets[@]}"; do
  image=${REPOSITORY:+$REPOSITORY/}interlock-$target:$version
  started=$SECONDS
  log=$(mktemp)
  case ${CACHE:-} in
    "") cache=() ;;
    /*) cache=(--load --cache-from "type=local,src=$CACHE/$target" --cache-to "type=local,dest=$CACHE/$target,mode=max") ;;
    *)
      kept=type=registry,ref=$CACHE/interlock-$target:cache # a build without it is slow, not wrong
      cache=(--load --cache-from "$kept" --cache-to "$kept,mode=max,ignore-error=true") ;;
  esac
  if ! DOCKER_BUILDKIT=1 "$client" build --progress plain --file deploy/images/Dockerfile --target "$target" \
    --tag "$image" "${arguments[@]}" "${cache[@]}" . >"$log" 2>&1; then
    tail -30 "$log" >&2
    echo "images: $image cannot be built; the whole log is in $log" >&2
    exit 1
  fi
  rm "$log"
  bytes=$("$client" image inspect --format '{{.Size}}' "$image")
  echo "images: $image $((bytes / 1000000)) MB, built in $((SECONDS - started)) s"
done
