#!/usr/bin/env bash
# See that there is a Docker client with BuildKit. In a build step, a bare Debian container with the daemon's socket, it
# is installed; on a person's machine nothing is.
set -euo pipefail

if docker buildx version >/dev/null 2>&1; then exit 0; fi
if [ ! -f /.dockerenv ] || [ "$(id -u)" != 0 ]; then
  command -v docker >/dev/null && exit 0 # an older client has BuildKit built in
  echo "docker-client: no docker; install Docker, and its buildx plugin" >&2
  exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends docker-cli docker-buildx >/dev/null
