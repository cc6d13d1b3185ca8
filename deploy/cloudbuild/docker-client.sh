#!/usr/bin/env bash
# See that there is a Docker client with BuildKit. In a build step, a bare Debian container with the daemon's socket, it
# is installed; on a person's machine nothing is.
set -euo pipefail
cd "$(dirname "$0")/../.."

# shellcheck source=deploy/images/client.sh
. deploy/images/client.sh
if [ -n "$client" ]; then exit 0; fi
if [ ! -f /.dockerenv ] || [ "$(id -u)" != 0 ]; then
  echo "docker-client: no docker with BuildKit; install Docker, and its buildx plugin" >&2
  exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends docker-cli docker-buildx >/dev/null
