"""Base images: the same everywhere, pinned by one verb, and a release refuses a tag without a digest."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = [
    "deploy/images/Dockerfile",
    "deploy/images/build.sh",
    "cloudbuild.yaml",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "deploy/cloudbuild").glob("*.yaml"))),
    "deploy/kind/base/postgres.yaml",
]
VERSION = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]

# A registry's answer for each name; `docker pull` of another is refused, as it is without a network.
DOCKER = """#!/usr/bin/env bash
case "$*" in
  "pull --quiet ${OFFLINE:-nothing}"*) echo "no such host" >&2; exit 1 ;;
  "pull --quiet "*) ;;
  "image inspect "*) name=${@: -1}
    echo "mirror.example/${name%:*}@sha256:$(printf mirror | sha256sum | cut -c1-64)"
    echo "${name%:*}@sha256:$(printf '%s' "$name$AGAIN" | sha256sum | cut -c1-64)" ;;
  *) exit 2 ;;
esac
"""


def digest(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_every_file_names_the_same_bases():
    """The Dockerfile's defaults are what Cloud Build passes: a digest changed by hand in one place is found."""
    found = {}
    for name in FILES:
        for kind, image in re.findall(r"_?(BUILD|BASE)_IMAGE(?:=|: )(python:\S+)", (ROOT / name).read_text()):
            found.setdefault(kind, set()).add(image)
    assert {kind: len(images) for kind, images in found.items()} == {"BUILD": 1, "BASE": 1}, found


@pytest.fixture
def pin(tmp_path):
    """A copy of what holds bases; runs pin.sh there with a registry that answers by the image's name."""
    tree, tools = tmp_path / "tree", tmp_path / "bin"
    for name in FILES:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        text = re.sub(r"@sha256:[0-9a-f]{64}", "", (ROOT / name).read_text())
        (tree / name).write_text(text)
    tools.mkdir()
    (tools / "docker").write_text(DOCKER)
    (tools / "docker").chmod(0o755)

    def run(**variables):
        environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", **variables}
        command = [ROOT / "deploy" / "images" / "pin.sh", tree]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
        return done, "".join((tree / name).read_text() for name in FILES)

    run.tree = tree
    return run


def test_every_base_gets_its_digest_and_nothing_else_changes(pin):
    before = "".join((pin.tree / name).read_text() for name in FILES)
    done, text = pin()
    assert done.returncode == 0, done.stderr
    images = ["python:3.11-trixie", "python:3.11-slim-trixie", "postgres:17", "moby/buildkit:buildx-stable-1"]
    for image in images:
        assert f"{image}@{digest(image)}" in text
        assert not re.search(rf"\b{re.escape(image)}(?!@|[a-z0-9.-])", text), f"{image} is left without a digest"
    assert re.sub(r"@sha256:[0-9a-f]{64}", "", text) == before
    # The same again changes nothing; a registry that has moved on changes the digests, and leaves one each.
    assert pin()[1] == text
    _, moved = pin(AGAIN="later")
    assert f"postgres:17@{digest('postgres:17later')}" in moved
    assert moved.count("@sha256:") == text.count("@sha256:")


def test_a_registry_that_cannot_be_asked_stops_it(pin):
    postgres = pin.tree / "deploy/kind/base/postgres.yaml"
    done, _ = pin(OFFLINE="postgres")
    assert done.returncode != 0
    assert "no such host" in done.stderr
    assert "@sha256:" not in postgres.read_text()


@pytest.fixture
def release_check(tmp_path):
    """The check in a tree whose change log has this version."""
    script = tmp_path / "deploy" / "cloudbuild" / "release-check.sh"
    script.parent.mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "cloudbuild" / "release-check.sh", script)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text(f"## {VERSION}\n")

    def run(base, build):
        environment = {"PATH": os.environ["PATH"], "TAG": f"v{VERSION}", "BASE_IMAGE": base, "BUILD_IMAGE": build}
        return subprocess.run([script], capture_output=True, text=True, timeout=60, check=False, env=environment)

    return run


def test_a_release_stands_on_digests_only(release_check):
    pinned = f"python:3.11-trixie@{digest('a')}"
    done = release_check(pinned, pinned)
    assert done.returncode == 0, done.stderr
    for base, build, named in ((pinned, "python:3.11-trixie", "BUILD_IMAGE"), ("", pinned, "BASE_IMAGE")):
        done = release_check(base, build)
        assert done.returncode == 1
        assert f"release: {named} is" in done.stderr
        assert "make pin-bases" in done.stderr
