#!/usr/bin/env bash
# A Docker daemon for CI, on a Debian machine and as root: .ci/dockerd.sh up FOLDER | down FOLDER
#
# `up` does nothing when a daemon answers. Else it installs docker.io if that is missing and starts dockerd; FOLDER gets
# dockerd.pid and dockerd.log. `down` ends the daemon that `up` started from FOLDER, and no other.
set -euo pipefail

verb=${1:?up or down} folder=${2:?a folder for pid and log}
mkdir -p "$folder"
pid_file=$folder/dockerd.pid log=$folder/dockerd.log

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# Whether the process in pid file $1 is the program $2. Numbers are used again: a file left by a killed daemon may name
# a process that has nothing to do with it, and the next daemon would refuse to start because of it.
# One that has ended and was not waited for has no program any more.
is_running() { [ -f "$1" ] && [[ $(readlink "/proc/$(cat "$1")/exe" 2>/dev/null) == */"$2" ]]; }

case $verb in
  up)
    if answers; then exit 0; fi
    if ! command -v dockerd >/dev/null || ! command -v iptables >/dev/null; then
      echo "containers: installing docker.io"
      apt-get update -qq
      DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends docker.io iptables >"$folder/apt.log" 2>&1 ||
        { tail -5 "$folder/apt.log" >&2; exit 1; }
      if answers; then exit 0; fi # the package may start one
    fi
    if is_running /var/run/docker.pid dockerd; then
      echo "containers: dockerd $(cat /var/run/docker.pid) runs and does not answer; end it first" >&2
      exit 1
    fi
    rm -f /var/run/docker.pid /var/run/docker.sock
    containerd=/var/run/docker/containerd/containerd.pid
    is_running "$containerd" containerd || rm -f "$containerd" /var/run/docker/containerd/*.sock*
    setsid dockerd >"$log" 2>&1 </dev/null &
    echo $! >"$pid_file"
    for _ in $(seq 120); do
      if answers; then exit 0; fi
      is_running "$pid_file" dockerd || sleep 0.5 # the name is the shell's until the program has been loaded
      is_running "$pid_file" dockerd || break
      sleep 0.5
    done
    echo "containers: dockerd does not answer after 60 s, or has ended; the end of $log:" >&2
    tail -20 "$log" >&2
    "$0" down "$folder"
    exit 1 ;;
  down)
    if is_running "$pid_file" dockerd; then
      kill "$(cat "$pid_file")"
      for _ in $(seq 60); do is_running "$pid_file" dockerd || break; sleep 0.5; done
      if is_running "$pid_file" dockerd; then kill -KILL "$(cat "$pid_file")"; fi
    fi
    rm -f "$pid_file" ;;
  *) echo "containers: $verb is neither up nor down" >&2; exit 2 ;;
esac
