#!/usr/bin/env bash
# A release is what its tag says: TAG must be v and the version of pyproject.toml, and CHANGELOG.md must have it. It stands
# on BASE_IMAGE and BUILD_IMAGE by digest: a tag may be another image tomorrow.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
if [ "${TAG:-}" != "v$version" ]; then
  echo "release: tag '${TAG:-}' is not v$version, the version of pyproject.toml; change one of them" >&2
  exit 1
fi
grep --quiet --fixed-strings "## $version" CHANGELOG.md ||
  { echo "release: CHANGELOG.md does not say what is in $version; add it" >&2; exit 1; }
for name in BASE_IMAGE BUILD_IMAGE; do
  if ! [[ ${!name:-} =~ @sha256:[0-9a-f]{64}$ ]]; then
    echo "release: $name is '${!name:-}', not NAME@sha256:DIGEST; make pin-bases writes the digests, commit them" >&2
    exit 1
  fi
done
