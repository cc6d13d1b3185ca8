#!/usr/bin/env bash
# Stand-ins for the public base images, where no image registry can be reached: Debian 13 with its own Python, from
# Debian's packages. Prints the build arguments. For local use, never to be pushed. `.ci/stand-ins.sh root` only fetches
# Debian, for which it needs no Docker and little of the machine: CI can begin with it while something else runs.
#
#   stand-in/python:3-slim-trixie   minbase, python3, python3-venv, ca-certificates
#   stand-in/python:3-trixie        the same with a compiler
#   stand-in/postgres:17            the same with PostgreSQL, for tests
#
# This machine's certificate authorities go into them, so that downloads work wherever they work on the machine itself.
set -euo pipefail

cache=${INTERLOCK_CACHE:-/var/cache/interlock}
authorities=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
root=$cache/root

say() { echo "containers: $*" >&2; }
have() { docker image inspect "$1" >/dev/null 2>&1; }

derive() { # image, packages, further lines of its Dockerfile; what has not changed comes from Docker's cache
  docker build --tag "$1" - >"$cache/build.log" 2>&1 <<DOCKERFILE || { say "$1 cannot be made:"; tail -20 "$cache/build.log" >&2; exit 1; }
FROM stand-in/python:3-slim-trixie
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $2 >/dev/null && rm -rf /var/lib/apt/lists/*
${3:-}
DOCKERFILE
}

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9 # whoever comes second waits

if [ "${1:-}" = root ] || ! have stand-in/python:3-slim-trixie; then
  if [ ! -f "$cache/root.ready" ]; then
    command -v debootstrap >/dev/null || {
      say "installing debootstrap"
      apt-get update -qq >&2
      DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends debootstrap >&2
    }
    say "debootstrap of Debian 13, about three minutes"
    rm -rf "$root"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates trixie "$root" >"$cache/debootstrap.log" ||
      { tail -5 "$cache/debootstrap.log" >&2; exit 1; }
    touch "$cache/root.ready"
  fi
  if [ "${1:-}" = root ]; then exit 0; fi
  say "making stand-in/python:3-slim-trixie"
  cp "$authorities" "$root/etc/ssl/certs/ca-certificates.crt"
  tar --create --directory "$root" --exclude=./var/cache/apt/archives/*.deb --exclude=./var/lib/apt/lists/* \
    --exclude=./usr/share/doc/* --exclude=./usr/share/man/* --exclude=./usr/share/locale/* . |
    docker import --change "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt" \
      --change "ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt UV_SYSTEM_CERTS=1" \
      --change 'CMD ["python3"]' - stand-in/python:3-slim-trixie >/dev/null
fi
derive stand-in/python:3-trixie "g++ python3-dev"
# As the public image: a user postgres with POSTGRES_PASSWORD, reachable from other containers.
derive stand-in/postgres:17 postgresql "$(
  cat <<'LINES'
RUN printf '%s\n' '#!/bin/sh -eu' 'PATH=/usr/lib/postgresql/17/bin:$PATH' 'export PGDATA=/var/lib/postgresql/data' \
      'echo "$POSTGRES_PASSWORD" > /tmp/password' \
      'initdb --username postgres --encoding UTF8 --locale C.UTF-8 --auth scram-sha-256 --pwfile /tmp/password > /dev/null' \
      'echo "host all all all scram-sha-256" >> $PGDATA/pg_hba.conf' \
      'exec postgres -c "listen_addresses=*"' > /usr/local/bin/start && chmod +x /usr/local/bin/start
USER postgres
ENTRYPOINT ["/usr/local/bin/start"]
LINES
)"
echo "BASE_IMAGE=stand-in/python:3-slim-trixie BUILD_IMAGE=stand-in/python:3-trixie POSTGRES_IMAGE=stand-in/postgres:17"
