"""Docker by its client: here a program in its place that remembers what it was asked and answers as told."""

from pathlib import Path

import pytest

from interlock.errors import EnvironmentProblem
from interlock.local.containers import labels, remove_all, require_daemon, require_images, state_id


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Writes the program: shell text, with the arguments in ``$*``. Returns the file of what it was asked."""
    asked = tmp_path / "asked"

    def write(text):
        asked.write_text("")
        program = tmp_path / "bin" / "docker"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "$*" >> {asked}\n{text}\n')
        program.chmod(0o755)
        return asked

    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return write


@pytest.fixture
def state(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def test_a_state_that_never_had_containers_does_not_ask_docker(docker, state):
    asked = docker("exit 1")
    assert remove_all(state) == 0
    assert asked.read_text() == ""


def test_containers_of_the_state_are_removed_once(docker, state):
    asked = docker('case "$1" in ps) echo one; echo two;; esac')
    assert labels(state, "j") == ["--label", f"interlock.state={state_id(state)}", "--label", "interlock.job=j"]
    assert remove_all(state) == 2
    listed, removed = asked.read_text().splitlines()
    assert listed == f"ps --all --quiet --filter label=interlock.state={state_id(state)}"
    assert removed == "rm --force --volumes one two"
    assert remove_all(state) == 0
    assert len(asked.read_text().splitlines()) == 2


@pytest.mark.parametrize("broken", ["ps", "rm"])
def test_docker_that_does_not_answer_is_an_error_and_is_tried_again(docker, state, broken):
    docker(f'case "$1" in {broken}) exit 1;; ps) echo one;; esac')
    labels(state)
    with pytest.raises(EnvironmentProblem, match="cannot be removed"):
        remove_all(state)
    docker('case "$1" in ps) echo one;; esac')
    assert remove_all(state) == 1


def test_every_image_that_is_missing_is_named(docker):
    docker('case "$*" in "image inspect there:1") exit 0;; esac; exit 1')
    require_images(["there:1"])
    with pytest.raises(EnvironmentProblem, match=r"image gone:1, gone:2 is not on this machine"):
        require_images(["gone:2", "there:1", "gone:1"])


def test_no_daemon_and_no_docker_are_told_apart(docker, monkeypatch, tmp_path):
    docker("exit 1")
    with pytest.raises(EnvironmentProblem, match="no Docker daemon answers"):
        require_daemon()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(EnvironmentProblem, match="docker is not installed"):
        require_daemon()


def test_folders_have_labels_of_their_own(tmp_path):
    assert state_id(tmp_path / "a") == state_id(Path(f"{tmp_path}/x/../a"))
    assert state_id(tmp_path / "a") != state_id(tmp_path / "b")
