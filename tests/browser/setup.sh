#!/usr/bin/env bash
# What the browser tests need: Debian's chromium, Playwright in an environment of its own, axe-core from npm.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v chromium >/dev/null; then
  [ "$(id -u)" = 0 ] || { echo "browser tests: chromium is not installed; apt-get install chromium" >&2; exit 1; }
  echo "setup: chromium"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
fi
command -v npm >/dev/null || { echo "browser tests: npm is not installed; it fetches axe-core" >&2; exit 1; }

deploy/environment.sh browser

folder=.venv/browser/axe
if ! cmp -s tests/browser/package-lock.json "$folder/package-lock.json"; then
  rm -rf "$folder"
  mkdir -p "$folder"
  cp tests/browser/package.json "$folder"
  cp tests/browser/package-lock.json "$folder"
  (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --silent) || { rm -f "$folder/package-lock.json"; exit 1; }
fi
