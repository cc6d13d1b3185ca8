#!/usr/bin/env bash
# The browser tests: Chromium from Debian, the main job watched in it. `.ci/browser.sh fetch` only gets what they and the
# site of the documents need, and runs nothing: CI begins with it while the processors have other work.
#
# On a person's machine (CI is not true) nothing is installed, and without Chromium nothing is tested.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${CI:-}" != true ] && ! command -v chromium >/dev/null; then
  echo "browser: left out, chromium is not installed"
  exit 0
fi
if [ "${1:-}" = fetch ]; then
  deploy/environment.sh docs
  exec timeout 300 tests/browser/setup.sh
fi
started=$SECONDS
timeout 900 make test-browser
echo "browser: tested in $((SECONDS - started)) s"
