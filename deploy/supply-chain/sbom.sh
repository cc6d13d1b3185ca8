#!/usr/bin/env bash
# Bills of material in CycloneDX: what each lock allows (with the hash of every file, for all platforms; one lock is one
# image), and what each environment on this machine has (with licences and dependencies). Equal input, equal bytes.
set -euo pipefail
cd "$(dirname "$0")/../.."

tool=(.venv/tools/bin/cyclonedx-py)
options=(--pyproject pyproject.toml --output-reproducible --validate)
out=${1:-build/sbom}
mkdir -p "$out"
export PYTHONWARNINGS=ignore # that a flat list has no graph is known

for lock in requirements/{ml,data-1.16,data-1.21,serve,emulator,dev,build}.lock; do
  name=$(basename "$lock" .lock)
  "${tool[@]}" requirements "$lock" "${options[@]}" -o "$out/lock-$name.cdx.json"
done
for environment in ml data; do
  python=.venv/$environment/bin/python
  [ -x "$python" ] || { echo "sbom: no environment $environment here; make setup" >&2; exit 1; }
  "${tool[@]}" environment "$python" "${options[@]}" -o "$out/environment-$environment.cdx.json"
done
echo "sbom: $(ls "$out" | wc -l) files in $out"
