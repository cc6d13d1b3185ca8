"""build.sh hands bases, secrets and caches to Docker as it must, and makes a builder only where one is needed."""

import itertools
import os
import shlex
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "deploy" / "images" / "build.sh"

# Writes down how it was called. The builder `interlock` is there once it was made.
DOCKER = """#!/usr/bin/env bash
printf '%q ' "$@" >>"$CALLS"; echo >>"$CALLS"
case "$*" in
  "buildx inspect") [ -e "$CALLS.$BUILDX_BUILDER" ] ;;
  "buildx create "*) touch "$CALLS.interlock" ;;
  "build "*nothing*) echo "target nothing is not there" >&2; exit 1 ;;
  "image inspect "*) echo 250000000 ;;
esac
"""


@pytest.fixture
def build(tmp_path):
    """Runs build.sh; what it did, and Docker's calls as lists of words, without those that only look."""
    calls = tmp_path / "calls"
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)

    def run(*targets, **variables):
        calls.write_text("")
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls), "TMPDIR": str(tmp_path)}
        done = subprocess.run(
            [SCRIPT, *targets], capture_output=True, text=True, timeout=60, check=False, env=environment | variables
        )
        called = [shlex.split(line) for line in calls.read_text().splitlines()]
        return done, [words for words in called if words[0] == "build" or words[:2] == ["buildx", "create"]]

    return run


def follows(words, option):
    return [value for name, value in itertools.pairwise(words) if name == option]


def test_every_target_with_its_bases_and_secrets(build):
    done, calls = build(BASE_IMAGE="slim@sha256:1", BUILD_IMAGE="full", REPOSITORY="eu/x", UV_CONFIG_FILE="/uv.toml")
    assert done.returncode == 0, done.stderr
    assert [follows(words, "--target") for words in calls] == [["serve"], ["emulator"], ["ml"], ["data"]]
    for words in calls:
        assert {"BASE_IMAGE=slim@sha256:1", "BUILD_IMAGE=full"} <= set(follows(words, "--build-arg"))
        assert follows(words, "--secret") == ["id=uv,src=/uv.toml"]
        assert follows(words, "--tag")[0].startswith("eu/x/interlock-")
        assert not any("cache" in word for word in words)
    assert "interlock-serve:" in done.stdout
    assert "250 MB" in done.stdout


def test_a_cache_keeps_every_stage(build):
    done, calls = build("serve", "ml", CACHE="eu/cache")
    assert done.returncode == 0, done.stderr
    create, serve, ml = calls
    assert follows(create, "--driver") == ["docker-container"]
    for words, target in ((serve, "serve"), (ml, "ml")):
        reference = f"type=registry,ref=eu/cache/interlock-{target}:cache"
        assert follows(words, "--cache-from") == [reference]
        # A build without a cache is slow, not wrong: ignore-error.
        assert follows(words, "--cache-to") == [f"{reference},mode=max,ignore-error=true"]
        assert "--load" in words  # else the image would stay in the builder
    assert [words[0] for words in build("serve", CACHE="eu/cache")[1]] == ["build"]  # the builder is there now


def test_a_folder_can_be_the_cache_and_another_builder_keep_it(build):
    _, calls = build("serve", CACHE="/var/layers", BUILDX_BUILDER="mine")
    (words,) = calls
    assert follows(words, "--cache-from") == ["type=local,src=/var/layers/serve"]
    assert follows(words, "--cache-to") == ["type=local,dest=/var/layers/serve,mode=max"]


def test_a_build_that_fails_says_where_the_log_is(build, tmp_path):
    done, _ = build("nothing")
    assert done.returncode == 1
    assert "target nothing is not there" in done.stderr
    assert Path(done.stderr.split("the whole log is in ")[1].strip()).parent == tmp_path
