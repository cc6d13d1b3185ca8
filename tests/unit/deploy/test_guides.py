"""The guides name commands, options, verbs and variables that there are."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main
import yaml

from interlock.cli import app
from interlock.config import parse_config

ROOT = Path(__file__).parents[3]
GUIDES = [ROOT / "docs" / "google-cloud.md", ROOT / "docs" / "supply-chain.md"]
COMMANDS = typer.main.get_command(app).commands


def spoken(text):
    """Every `interlock …` in code, as words."""
    found = re.findall(r"`(interlock [^`\n]+)`", text)
    for block in re.findall(r"```bash[^\n]*\n(.*?)```", text, re.DOTALL):
        found += re.findall(r"(?m)^\s*(interlock .+)$", block)
    return [shlex.split(one.replace("…", "x")) for one in found]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_commands_and_options_exist(guide):
    said = spoken(guide.read_text())
    assert said
    for _, name, *rest in said:
        assert name in COMMANDS, f"{guide.name}: interlock {name}"
        options = {option for one in COMMANDS[name].params for option in one.opts}
        unknown = [word for word in rest if word.startswith("-") and word.partition("=")[0] not in options]
        assert not unknown, f"{guide.name}: interlock {name} {unknown}"


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_make_verbs_exist(guide):
    verbs = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for verb in re.findall(
        r"\bmake ([a-z][a-z-]+)`?",
        " ".join(re.findall(r"`[^`]*make [^`]+`|^\s*.*make .*$", guide.read_text(), re.MULTILINE)),
    ):
        if verb not in {"it", "everything"}:
            assert verb in verbs, f"{guide.name}: make {verb}"


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_files_exist(guide):
    for name in re.findall(r"`((?:deploy|requirements|examples|docs)/[\w./-]+)`", guide.read_text()):
        assert (ROOT / name).exists(), f"{guide.name}: {name}"


def test_variables_and_outputs_are_terraforms():
    text = GUIDES[0].read_text()
    folder = ROOT / "deploy" / "terraform"
    declared = set(re.findall(r'^variable "(\w+)"', (folder / "variables.tf").read_text(), re.MULTILINE))
    assert set(re.findall(r"-var (\w+)=", text)) <= declared
    outputs = set(re.findall(r'^output "(\w+)"', (folder / "outputs.tf").read_text(), re.MULTILINE))
    assert set(re.findall(r"output -json (\w+)", text)) <= outputs
    for name in re.findall(r"-var-file=(\S+)", text):
        assert (folder / name).exists()


def test_days_in_the_guide_are_those_of_the_environments():
    row = next(line for line in GUIDES[0].read_text().splitlines() if line.startswith("| request log, outcomes"))
    for name, said in zip(("dev", "staging", "prod"), re.findall(r"(\d+) days", row), strict=True):
        text = (ROOT / "deploy" / "terraform" / "environments" / f"{name}.tfvars").read_text()
        assert re.search(rf"^log_days\s+= {said}$", text, re.MULTILINE)


def test_the_yaml_in_the_guides_is_read():
    example = yaml.safe_load((ROOT / "examples" / "flights" / "config.yaml").read_text())
    signing = yaml.safe_load(re.search(r"```yaml\n(signing:.*?)```", GUIDES[1].read_text(), re.DOTALL).group(1))
    assert parse_config(yaml.safe_dump(example | signing)).signing.must_have_signed
    block = re.search(r"```yaml\n( +- name: error_rate.*?)```", GUIDES[0].read_text(), re.DOTALL).group(1)
    metrics = [*example["metrics"][:1], *yaml.safe_load(block)]
    assert parse_config(yaml.safe_dump(example | {"metrics": metrics})).metrics[1].prometheus
