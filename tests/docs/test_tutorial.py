"""The tutorial, executed as it stands: another table by config alone, from CSV to the second version in production."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock.contracts import Evaluation, GateReport, Manifest, Place, read_contract
from interlock.local import stack
from interlock.vertex.registry import VertexModelRegistry

from .executed import AFTER_TUTORIAL, TUTORIAL, execute, missing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(660)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tutorial")


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    return execute(TUTORIAL, folder, timeout=600)


@pytest.fixture(scope="module")
def place(printed: str, folder: Path) -> Iterator[Place]:
    """The stack that the page left behind, started again."""
    assert printed
    try:
        yield stack.up(folder / ".interlock")
    finally:
        stack.down(folder / ".interlock")


@pytest.fixture(scope="module")
def first_version(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of version 1."""
    registry = VertexModelRegistry(place, "parcels")
    found = registry.find("1")
    assert found is not None
    return registry.fetch(found, tmp_path_factory.mktemp("version"))


def test_prints_what_the_page_says(printed: str) -> None:
    assert missing(TUTORIAL, printed) == []


@pytest.mark.parametrize("page", AFTER_TUTORIAL)
def test_a_how_to_goes_on_from_there(printed: str, folder: Path, page: str) -> None:
    assert printed
    assert missing(page, execute(page, folder, timeout=300)) == []


def test_the_version_carries_its_proof(first_version: Path) -> None:
    manifest = read_contract(first_version / "manifest.json", Manifest)
    report = read_contract(first_version / "gate_report.json", GateReport)
    evaluation = read_contract(first_version / "evaluation.json", Evaluation)
    assert manifest.model_sha256 == report.model_sha256 == evaluation.model_sha256
    assert report.passed
    assert {rule.gate for rule in report.rules} == {"data", "metrics", "regression", "latency", "size"}
    assert {m.slice for m in evaluation.measures} == {"", "hub=north", "hub=south", "hub=east"}
    assert manifest.image


def test_trained_again_in_another_process_it_is_the_same(place: Place, folder: Path, first_version: Path) -> None:
    assert place.bucket
    status, again = replay(folder / "config.yaml", folder)
    manifest = read_contract(first_version / "manifest.json", Manifest)
    assert (status, again["identical"], again["results"]) == (0, True, [])
    assert again["model_sha256"] == again["version_sha256"] == manifest.model_sha256
    assert again["metrics"] == 4 * 9


def test_a_changed_table_is_named(place: Place, folder: Path, tmp_path: Path) -> None:
    assert place.bucket
    text = (folder / "parcels.csv").read_text().replace(",north,", ",south,", 1)
    (tmp_path / "parcels.csv").write_text(text)
    for name in ("config.yaml", "schema.pbtxt"):
        shutil.copy(folder / name, tmp_path)
    status, again = replay(tmp_path / "config.yaml", folder)
    assert (status, again["identical"]) == (1, False)
    assert [difference["what"] for difference in again["results"]] == ["table"]


def replay(config: Path, folder: Path) -> tuple[int, dict[str, Any]]:
    """Exit status and answer of ``interlock replay 1``."""
    program = str(Path(sys.executable).with_name("interlock"))
    command = [program, "replay", "1", "-c", str(config), "--state", str(folder / ".interlock"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, json.loads(done.stdout)
