#!/usr/bin/env bash
# Bills of material in CycloneDX: what each lock allows (with the hash of every file, for all platforms), what each
# environment on this machine has (with licences and dependencies), and what lies in each image, Debian's packages too.
# Equal input, equal bytes.
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
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
for target in serve emulator ml data; do
  image=interlock-$target:$version
  if docker image inspect "$image" >/dev/null 2>&1; then
    .venv/tools/bin/python deploy/supply-chain/image_sbom.py "$image" "$out/image-$target.cdx.json"
  elif [ "${INTERLOCK_CONTAINERS:-}" = required ]; then
    echo "sbom: no image $image here; make images" >&2; exit 1
  else
    echo "sbom: image $target LEFT OUT: no $image here, or no Docker daemon answers"
  fi
done
echo "sbom: $(ls "$out" | wc -l) files in $out"
