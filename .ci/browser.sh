#!/usr/bin/env bash
# The documents as a site, and the browser tests: Chromium from Debian, the main job watched in it.
#
# On a person's machine (CI is not true) nothing is installed, and without Chromium nothing is tested. `fetch` gets what
# these need and runs none of them: CI begins with it while the processors have other work.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${CI:-}" != true ] && ! command -v chromium >/dev/null; then
  echo "browser: left out, chromium is not installed"
  exit 0
fi
if [ "${1:-}" = fetch ]; then
  deploy/environment.sh docs
  exec tests/browser/setup.sh
fi
timeout 120 make docs
.venv/ml/bin/python -m pytest -q tests/docs/test_site.py
started=$SECONDS
timeout 600 make test-browser
echo "browser: tested in $((SECONDS - started)) s"
