"""The checked-in reference says what the code says, and has a meaning for everything."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from .pages import ROOT

FOLDER = ROOT / "docs" / "reference"


@pytest.fixture(scope="module")
def generator() -> Iterator[ModuleType]:
    """docs/generator; it is no part of the package."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        yield importlib.import_module("generator.pages")
    finally:
        sys.path.remove(str(ROOT / "docs"))


def test_pages_are_fresh(generator: ModuleType) -> None:
    stale = [name for name, page in generator.PAGES.items() if (FOLDER / name).read_text(encoding="utf-8") != page()]
    assert stale == [], "run `make reference`"


def test_no_page_is_left_over(generator: ModuleType) -> None:
    assert {path.name for path in FOLDER.glob("*.md")} == {*generator.PAGES, "index.md"}


def test_every_config_key_has_a_meaning(generator: ModuleType) -> None:
    config = generator.config
    without = [
        f"{kind.__name__}.{field.encode_name}"
        for _, kind in config.sections()
        for field in config.fields(kind)
        if not config.meaning(kind, field)
    ]
    assert without == [], "say it in the docstring of the section, as ``key``, or in docs/generator/meanings.py"


def test_every_variable_has_a_meaning(generator: ModuleType) -> None:
    environment = generator.environment
    without = [variable.name for variable in environment.variables() if not environment.meaning(variable)]
    assert without == [], "say it in a docstring of settings.py, or in docs/generator/environment.py"
    assert {"AIP_STORAGE_URI", "INTERLOCK_STATE", "INTERLOCK_WORKERS"} <= {v.name for v in environment.variables()}


def test_every_command_and_option_is_told(generator: ModuleType) -> None:
    page = (FOLDER / "commands.md").read_text()
    for name, command in generator.commands.commands():
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert command.help
        assert command.help.split(".")[0].split("`")[0] in section
        for parameter in command.params:
            assert parameter.name == "help" or parameter.help, f"{name} {parameter.opts}: no help"
