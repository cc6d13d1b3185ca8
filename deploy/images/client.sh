# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the scripts that source this
# Sets `client` to a docker with BuildKit, '' where there is none. Sourced, not run.

# A plugin of newer clients, built into older ones; builds need it, for secrets and caches.
client=
for candidate in docker /usr/bin/docker; do
  command -v "$candidate" >/dev/null || continue
  if "$candidate" buildx version >/dev/null 2>&1 || [[ $("$candidate" --version) == *" version 20."* ]]; then
    client=$candidate
    break
  fi
done
