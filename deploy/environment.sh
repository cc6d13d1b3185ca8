#!/usr/bin/env bash
# Build one Python environment from its hashed lock: deploy/environment.sh ml|data|dev|docs|browser|tools|terraform
#
# Nothing happens when lock and package list have not changed since the last time. `dev` adds the test tools to ml;
# `docs` holds the site generator, `browser` what drives a browser, `tools` what reads the locks, `terraform` the
# arguments of Terraform's google provider; none of them holds anything of the project.
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:?which environment: ml, data, dev, docs, browser, tools or terraform}
folder=.venv/$name
case $name in
  ml) locks=(requirements/ml.lock) ;;
  docs) locks=(requirements/docs.lock) ;;
  browser) locks=(requirements/browser.lock) ;;
  tools) locks=(requirements/tools.lock) ;;
  terraform) locks=(requirements/terraform.lock) ;;
  dev) locks=(requirements/dev.lock) folder=.venv/ml ;;
  data)
    # TensorFlow Data Validation 1.21 needs glibc 2.38; what an older one loads is 1.16.
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2 || true)
    if [ -n "$glibc" ] && [ "$(printf '2.38\n%s\n' "$glibc" | sort -V | head -1)" != 2.38 ]; then
      locks=(requirements/data-1.16.lock requirements/kfp.lock)
    else
      locks=(requirements/data-1.21.lock requirements/kfp.lock)
    fi ;;
  *) echo "environment $name: unknown; give ml, data, dev, docs, browser, tools or terraform" >&2; exit 2 ;;
esac

stamp=.venv/$name.stamp
now=$(cat "${locks[@]}" pyproject.toml deploy/environment.sh | cksum)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$now" ] && exit 0

python=${PYTHON:-python3.11}
command -v "$python" >/dev/null || { echo "setup: $python is not installed; install Python 3.11 or set PYTHON" >&2; exit 1; }

uv=.venv/bootstrap/bin/uv
if [ ! -x "$uv" ]; then
  echo "setup: uv, the installer"
  "$python" -m venv .venv/bootstrap
  .venv/bootstrap/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
fi

echo "setup: environment $name ($(cat "${locks[@]}" | grep -c '^[a-z0-9].*==') packages; only when the lock changed)"
# The certificates of the system, so that a company's proxy works as it does for everything else.
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1}
export UV_LINK_MODE=copy VIRTUAL_ENV=$PWD/$folder
case $name in
  dev) "$uv" pip install --quiet --compile-bytecode --require-hashes -r requirements/dev.lock ;;
  docs|browser|tools|terraform)
    [ -x "$folder/bin/python" ] || "$uv" venv --quiet --python "$python" "$folder"
    # Terraform's holds 400 MB, of which a test reads a few files once.
    if [ "$name" = terraform ]; then compile=--no-compile-bytecode; else compile=--compile-bytecode; fi
    "$uv" pip sync --quiet "$compile" --require-hashes "${locks[0]}"
    ;;
  *)
    [ -x "$folder/bin/python" ] || "$uv" venv --quiet --python "$python" "$folder"
    "$uv" pip sync --quiet --compile-bytecode --require-hashes "${locks[0]}"
    for lock in "${locks[@]:1}"; do
      "$uv" pip install --quiet --compile-bytecode --no-deps --require-hashes -r "$lock"
    done
    "$uv" pip install --quiet --no-deps --no-build-isolation --editable .
    rm -f .venv/dev.stamp # sync removed the test tools
    ;;
esac
echo "$now" > "$stamp"
