"""cloudbuild.yaml runs what a laptop runs, in order, and carries no secret."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "cloudbuild.yaml").read_text()
BUILD = yaml.safe_load(TEXT)
VERBS = re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_step_is_a_make_verb():
    for step in BUILD["steps"]:
        assert step["entrypoint"] == "make"
        assert len(step["args"]) == 1
        assert step["args"][0] in VERBS


def test_steps_go_from_cheap_to_dear():
    assert [step["id"] for step in BUILD["steps"]] == ["setup", "check", "unit", "contract", "compile", "end-to-end"]


def test_steps_cover_every_test_folder():
    makefile = (ROOT / "Makefile").read_text()
    for folder in (ROOT / "tests").iterdir():
        if folder.is_dir() and not folder.name.startswith("_"):
            assert f"tests/{folder.name}" in makefile, f"no step runs tests/{folder.name}"


def test_every_substitution_is_declared():
    used = set(re.findall(r"\$\{?(_[A-Z_]+)", TEXT))
    assert used == set(BUILD["substitutions"])


def test_no_secret_and_an_identity_of_its_own():
    assert not re.search(r"secret|password|token|private_key", TEXT, re.IGNORECASE)
    assert "interlock-ci@" in BUILD["serviceAccount"]


def test_published_templates_are_what_make_compile_writes():
    compiled = re.search(r"for name in ([a-z ]+); do", (ROOT / "Makefile").read_text()).group(1).split()
    assert BUILD["artifacts"]["objects"]["paths"] == [f"build/{name}.yaml" for name in compiled]
