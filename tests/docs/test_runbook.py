"""The runbook has an entry for everything that can end a command, a rollout or a call."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import get_args, get_type_hints

import pytest

from interlock.config.monitoring import Action, CheckName
from interlock.contracts import MonitoringReport, VerdictKind
from interlock.emulator.rpc import STATUSES
from interlock.rollout.controller import Outcome
from interlock.rollout.state import Phase

from .pages import ROOT

PAGE = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def errors() -> Iterator[ModuleType]:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        yield importlib.import_module("generator.errors")
    finally:
        sys.path.remove(str(ROOT / "docs"))


def test_every_exit_status(errors: ModuleType) -> None:
    assert [code for code in errors.exit_codes() if f"| `{code}` |" not in PAGE] == []


def test_every_exception(errors: ModuleType) -> None:
    assert [problem.name for problem in errors.problems() if f"| `{problem.name}` |" not in PAGE] == []


def test_every_end_of_a_rollout() -> None:
    under_way = {Phase.RUNNING, Phase.PROMOTING, Phase.ROLLING_BACK}
    written = {
        outcome for path in (ROOT / "src/interlock/rollout").glob("*.py") for outcome in literals(path.read_text())
    }
    endings = {*map(str, Outcome), *map(str, set(Phase) - under_way), *written}
    assert {"withdrawn", "refused", "unknown"} <= endings
    assert [ending for ending in sorted(endings) if f"`{ending}`" not in PAGE] == []


def literals(code: str) -> set[str]:
    """Outcomes that a rollout is settled with and that are no member of an enumeration."""
    return set(re.findall(r'Settle(?:d|ment)\(\s*outcome="([a-z ]+)"', code))


def test_every_verdict() -> None:
    assert [kind for kind in VerdictKind if f"| `{kind}` |" not in PAGE] == []


def test_every_answer_of_the_emulator() -> None:
    assert [status for status in STATUSES if f"`{status}`" not in PAGE] == []


def test_every_gate() -> None:
    gates = set()
    for path in (ROOT / "src/interlock/gates").glob("*.py"):
        gates |= set(re.findall(r'gate="(\w+)"', path.read_text()))
    assert gates == {"data", "metrics", "regression", "latency", "size"}
    assert [gate for gate in sorted(gates) if f"| `{gate}`" not in PAGE] == []


def test_every_alarm_and_what_it_leads_to() -> None:
    checks, actions = get_args(CheckName), get_args(Action)
    assert len(checks) > 10
    assert [name for name in checks if f"| `{name}` |" not in PAGE] == []
    assert [name for name in actions if f"`{name}`" not in PAGE] == []
    assert [name for name in get_args(get_type_hints(MonitoringReport)["verdict"]) if f"`{name}`" not in PAGE] == []
