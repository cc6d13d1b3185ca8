"""A Cloud Build file runs on this machine: order, substitutions, what is replaced, and where it stops."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
RUNNER = ROOT / "deploy" / "cloudbuild" / "local_build.py"
FILES = [ROOT / "cloudbuild.yaml", *sorted((ROOT / "deploy" / "cloudbuild").glob("*.yaml"))]
VERSION = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]

specification = importlib.util.spec_from_file_location("local_build", RUNNER)
local_build = importlib.util.module_from_spec(specification)
specification.loader.exec_module(local_build)


def run(*arguments, **variables):
    command = [sys.executable, RUNNER, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")} | variables
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


def written(folder, *steps):
    path = folder / "build.yaml"
    path.write_text(yaml.safe_dump({"steps": steps, "substitutions": {"_TAG": "$_OTHER", "_OTHER": "v9.9.9"}}))
    return path


def step(name, *verbs, **more):
    return {"id": name, "name": "image", "entrypoint": "make", "args": list(verbs), **more}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_verb_of_every_file_can_be_made(path):
    done = run(path, "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    ids = [each["id"] for each in yaml.safe_load(path.read_text())["steps"]]
    assert re.findall(r"^([a-z-]+): make", done.stdout, re.MULTILINE) == ids


def test_what_needs_google_cloud_is_named_and_not_run():
    done = run(ROOT / "deploy/cloudbuild/promote.yaml", "--steps", "submit-deployment")
    assert done.returncode == 0, done.stderr
    assert "submit-deployment: make submit-deployment, replaced" in done.stdout
    assert "deploy/cloudbuild/submit.sh deployment" in done.stdout


def test_a_verb_runs_and_a_failing_one_ends_the_build(tmp_path):
    """`help` is a cheap verb; `release-check` fails on a tag that is not the version."""
    path = written(
        tmp_path,
        step("after", "help", waitFor=["wrong"]),
        step("first", "help", waitFor=["-"]),
        step("wrong", "release-check", waitFor=["first"], env=["TAG=${_TAG}"]),
    )
    done = run(path)
    assert done.returncode != 0
    assert re.findall(r"^(\w+): make", done.stdout, re.MULTILINE) == ["first", "wrong"]
    assert "What there is" in done.stdout  # `make help` has really run
    assert f"tag 'v9.9.9' is not v{VERSION}" in done.stderr


def test_substitutions_can_be_given(tmp_path):
    """A laptop's own base image, say; one that the file does not have is a mistake."""
    path = written(tmp_path, step("release-check", "release-check", env=["TAG=${_TAG}"]))
    assert "tag 'v1.2.3' is not" in run(path, "--substitutions", "_TAG=v1.2.3").stderr
    done = run(path, "--substitutions", "_BASE=here")
    assert done.returncode == 2
    assert "has no substitution _BASE" in done.stderr


def test_steps_may_be_chosen_and_unknown_ones_are_refused():
    assert "make check" not in run("--dry-run", "--steps", "unit").stdout
    done = run("--steps", "nothing")
    assert done.returncode == 2
    assert "no step nothing; there are setup, check" in done.stderr


def test_order_follows_wait_for():
    steps = [step("c", "x", waitFor=["b"]), step("a", "x", waitFor=["-"]), step("b", "x", waitFor=["a"])]
    assert [each["id"] for each in local_build.in_order(steps)] == ["a", "b", "c"]
    without = [step("one", "x"), step("two", "x")]
    assert [each["id"] for each in local_build.in_order(without)] == ["one", "two"]
    with pytest.raises(ValueError, match="wait for each other"):
        list(local_build.in_order([step("a", "x", waitFor=["b"]), step("b", "x", waitFor=["a"])]))


def test_substitutions():
    values = {"A": "x-${B}", "B": "y"}
    assert local_build.substituted("$A/${B}", values) == "x-y/y"
    with pytest.raises(KeyError, match="_NOT_THERE"):
        local_build.substituted("$_NOT_THERE", values)
    with pytest.raises(ValueError, match="hold each other"):
        local_build.substituted("$A", {"A": "$A"})


def submit(**variables):
    command = [ROOT / "deploy/cloudbuild/submit.sh", "training"]
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_training_is_submitted_in_staging_and_on_main_only():
    done = submit(ONLY="staging main", HERE="dev main")
    assert done.returncode == 0
    assert "nothing to do" in done.stdout
    done = submit(ONLY="staging main", HERE="staging main")  # goes on, and says what is missing
    assert done.returncode == 2
    assert "set PROJECT" in done.stderr
