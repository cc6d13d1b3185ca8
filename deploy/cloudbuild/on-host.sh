#!/usr/bin/env bash
# Run a Make verb beside the Docker daemon: on-host.sh VERB
#
# A build step is a container: ports that containers publish on the host's loopback are not there, nor are the folders
# they mount. So the verb runs in one more container, on the host's network and with the workspace at its own path. Outside of a
# container nothing of this is needed, and the verb just runs.
set -euo pipefail
cd "$(dirname "$0")/../.."

verb=${1:?on-host: which Make verb}
if [ ! -f /.dockerenv ]; then exec make --no-print-directory "$verb"; fi
mkdir -p build/tmp
exec docker run --rm --network host \
  --volume /var/run/docker.sock:/var/run/docker.sock --volume "$PWD:$PWD" --workdir "$PWD" \
  --env "TMPDIR=$PWD/build/tmp" --env INTERLOCK_CONTAINERS=required \
  --entrypoint make "${BUILD_IMAGE:?on-host: set BUILD_IMAGE to the image of the step}" docker-client "$verb"
