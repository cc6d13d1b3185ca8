#!/usr/bin/env bash
# A release is what its tag says: TAG must be v and the version of pyproject.toml, and CHANGELOG.md must have it.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
if [ "${TAG:-}" != "v$version" ]; then
  echo "release: tag '${TAG:-}' is not v$version, the version of pyproject.toml; change one of them" >&2
  exit 1
fi
grep --quiet --fixed-strings "## $version" CHANGELOG.md ||
  { echo "release: CHANGELOG.md does not say what is in $version; add it" >&2; exit 1; }
