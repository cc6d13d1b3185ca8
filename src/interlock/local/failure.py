"""Why a step failed, in one line, from the end of its log."""

from __future__ import annotations

import re
import signal
from pathlib import Path

TAIL_BYTES = 64 * 1024
TRACEBACK = "Traceback (most recent call last):"
EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)(: .*)?$")


def failure_line(log: Path, code: int) -> str:
    """``InputError: no rows in …`` from the last traceback, else the last line, else how it ended."""
    ending = _ending(code)
    lines = _tail(log).splitlines()
    exception = _last_exception(lines)
    if exception and code >= 0:
        return exception
    spoken = [line.strip() for line in lines if line.strip() and not line.startswith("[KFP Executor")]
    return f"{ending}; last line: {spoken[-1]}" if spoken else ending


def _last_exception(lines: list[str]) -> str:
    """The exception's own line is the first after the last traceback that is not indented."""
    starts = [index for index, line in enumerate(lines) if line.strip() == TRACEBACK]
    for start in reversed(starts):
        if start and lines[start - 1].startswith("Exception ignored"):
            continue
        after = next((line for line in lines[start + 1 :] if line and not line[0].isspace()), "")
        if match := EXCEPTION.match(after):
            return f"{match[1]}{match[2] or ''}"
    return ""


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
    return f"killed by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")


def _tail(log: Path) -> str:
    if not log.exists():
        return ""
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        return file.read().decode(errors="replace")
