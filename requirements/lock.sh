#!/usr/bin/env bash
# Resolve every lock again. Locks carry hashes and no index addresses.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=.venv/bootstrap/bin/uv
quiet=(--quiet --generate-hashes --no-header --no-emit-index-url --python-version 3.11)

"$uv" pip compile "${quiet[@]}" --universal --no-annotate requirements/bootstrap.in -o requirements/bootstrap.lock
"$uv" pip compile "${quiet[@]}" --universal pyproject.toml requirements/build.in --extra ml --extra example -o requirements/ml.lock
"$uv" pip compile "${quiet[@]}" --universal pyproject.toml --extra serve -c requirements/ml.lock -o requirements/serve.lock
"$uv" pip compile "${quiet[@]}" --universal pyproject.toml --extra serve --extra emulator -c requirements/ml.lock -o requirements/emulator.lock
"$uv" pip compile "${quiet[@]}" --universal --no-annotate requirements/build.in -c requirements/ml.lock -o requirements/build.lock
"$uv" pip compile "${quiet[@]}" --universal --group dev -c requirements/ml.lock -o requirements/dev.lock
"$uv" pip compile "${quiet[@]}" --no-deps --no-annotate requirements/kfp.in -o requirements/kfp.lock
"$uv" pip compile "${quiet[@]}" --python-platform x86_64-manylinux_2_28 pyproject.toml requirements/build.in requirements/data-1.16.in --extra data -o requirements/data-1.16.lock
"$uv" pip compile "${quiet[@]}" --universal pyproject.toml requirements/build.in requirements/data-1.21.in --extra data -o requirements/data-1.21.lock
"$uv" pip compile "${quiet[@]}" --universal --no-annotate requirements/docs.in -o requirements/docs.lock
"$uv" pip compile "${quiet[@]}" --universal --no-annotate requirements/browser.in -o requirements/browser.lock
"$uv" pip compile "${quiet[@]}" --universal --no-annotate requirements/tools.in -o requirements/tools.lock
"$uv" pip compile "${quiet[@]}" --universal --no-deps --no-annotate requirements/terraform.in -o requirements/terraform.lock
