"""No code in a page that nothing holds: :mod:`tests.docs.pages` has the convention."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from interlock.config import parse_config
from interlock.config.text import Loader

from .commands import problems
from .executed import AFTER_TUTORIAL, ALONE, TUTORIAL, WRITTEN
from .pages import ROOT, Fence, fences, pages

LANGUAGES = {"bash", "python", "yaml", "text", "json", "sql", ""}
MARKS = {"needs a cloud", "needs a cluster", "needs Docker"}
ELSEWHERE = r"^\s*((gcloud|gsutil|bq|terraform|kubectl|docker|kind)\b|make (images|kind-|push-|submit-))"
FENCES = [fence for page in pages() for fence in fences(page)]
EXAMPLE = yaml.safe_load((ROOT / "examples/flights/config.yaml").read_text())


def of(*languages: str) -> Any:
    chosen = [fence for fence in FENCES if fence.language in languages]
    return pytest.mark.parametrize("fence", chosen, ids=[fence.where for fence in chosen])


def test_languages_are_the_ones_that_something_checks() -> None:
    assert [f"{fence.where}: {fence.language}" for fence in FENCES if fence.language not in LANGUAGES] == []


def test_how_to_pages_with_commands_are_executed() -> None:
    """An untitled shell block of the tutorial or a how-to page is run by a test."""
    shown = {f.page for f in FENCES if f.language == "bash" and not f.title and f.page.startswith("docs/how-to/")}
    assert {*AFTER_TUTORIAL, *ALONE} == shown
    assert TUTORIAL in {fence.page for fence in FENCES}


@of("bash")
def test_shell_parses_and_our_commands_exist(fence: Fence) -> None:
    checked = subprocess.run(["bash", "-n"], input=fence.text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert problems(fence.text) == []


@of("")
def test_our_commands_in_plain_blocks_exist(fence: Fence) -> None:
    started = [
        line for line in fence.text.splitlines() if line.startswith(("interlock ", "make ", ".venv/ml/bin/interlock"))
    ]
    assert problems("\n".join(line for line in started if "…" not in line)) == []


@of("bash", "")
def test_commands_that_need_more_than_this_machine_are_marked(fence: Fence) -> None:
    """By the fence's title, or by a page that says at its top what was run and what was not."""
    whole_page = "What was run, and what was not" in (ROOT / fence.page).read_text(encoding="utf-8")
    assert whole_page or fence.title in MARKS or not re.search(ELSEWHERE, fence.text, re.MULTILINE)


@of("yaml")
def test_config_decodes(fence: Fence) -> None:
    for document in yaml.load_all(fence.text, Loader=Loader):
        if WRITTEN.fullmatch(fence.title) and not fence.title.endswith("config.yaml"):
            assert document  # a file of another kind
        elif isinstance(document, dict) and "apiVersion" in document:
            assert document["kind"]
        elif isinstance(document, dict) and "steps" in document:  # Cloud Build
            assert all(step["name"] for step in document["steps"])
        else:
            section = document if isinstance(document, dict) else {"metrics": with_metrics(document)}
            parse_config(yaml.safe_dump(merged(EXAMPLE, section)), fence.where)


@of("python")
def test_python_compiles_and_imports_what_exists(fence: Fence) -> None:
    tree = ast.parse(fence.text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "interlock":
            module = importlib.import_module(node.module)
            for name in node.names:
                if not hasattr(module, name.name):
                    importlib.import_module(f"{node.module}.{name.name}")


@pytest.mark.parametrize("page", pages(), ids=[str(page.relative_to(ROOT)) for page in pages()])
def test_paths_in_backticks_exist(page: Path) -> None:
    folders = (
        "src/",
        "components/",
        "pipelines/",
        "tests/",
        "benchmarks/",
        "docs/",
        "deploy/",
        "examples/",
        "requirements/",
    )
    text = page.read_text(encoding="utf-8")
    quoted = {word.partition("#")[0] for word in text.split("`")[1::2] if word.startswith(folders)}
    names = [word for word in quoted if not set(word) & set(" *{}<>…$\n")]
    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []


def with_metrics(more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The example's metrics with ``more``, which replace those of the same name."""
    return list({metric["name"]: metric for metric in [*EXAMPLE["metrics"], *more]}.values())


def merged(base: Any, more: Any) -> Any:
    """``more`` over ``base``, section by section; a list replaces a list."""
    if not (isinstance(base, dict) and isinstance(more, dict)):
        return more
    return base | {key: merged(base.get(key), value) for key, value in more.items()}
