"""What a check says."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class State(StrEnum):
    """``missing`` stops the work; a ``warning`` does not; ``unknown`` could not be asked, and counts as missing."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check: what was ``found``, and ``mend``, the command or step that helps ('' when all is well)."""

    check: str
    state: State
    found: str
    mend: str = ""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check=check, state=State.OK, found=found)


def warning(check: str, found: str, mend: str) -> Finding:
    """It works, and not well."""
    return Finding(check=check, state=State.WARNING, found=found, mend=mend)


def missing(check: str, found: str, mend: str) -> Finding:
    """It does not work without."""
    return Finding(check=check, state=State.MISSING, found=found, mend=mend)


def unknown(check: str, found: str, mend: str) -> Finding:
    """Nobody answered: never good news."""
    return Finding(check=check, state=State.UNKNOWN, found=found, mend=mend)


def exit_status(findings: Sequence[Finding]) -> int:
    """0 when nothing is missing, 1 otherwise; no findings at all are not good news."""
    bad = [one for one in findings if one.state in (State.MISSING, State.UNKNOWN)]
    return 1 if bad or not findings else 0
