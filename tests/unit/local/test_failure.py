"""The one line that says why a step failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.local.failure import failure_line

TRACE = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\n    raise E\n    ^^^^^^^\n'


@pytest.mark.parametrize(
    ("log", "code", "line"),
    [
        (TRACE + "interlock.errors.InputError: no rows\n", 1, "InputError: no rows"),
        (
            TRACE + "KeyError: 'a'\n\nDuring handling of it\n\n" + TRACE + "ValueError: b\n",
            1,
            "ValueError: b",
        ),
        (TRACE + "AssertionError\n", 1, "AssertionError"),
        (TRACE + "GateFailed: first\nsecond line\nE0000 noise at exit\n", 1, "GateFailed: first"),
        (
            TRACE + "ValueError: real\nException ignored in: <f>\n" + TRACE + "OSError: late\n",
            1,
            "ValueError: real",
        ),
        (
            "[KFP Executor] noise\nsh: python3: not found\n\n",
            127,
            "exit code 127; last line: sh: python3: not found",
        ),
        ("", 2, "exit code 2"),
        (
            TRACE + "ValueError: handled earlier\nworking\n",
            -9,
            "killed by SIGKILL (out of memory?); last line: working",
        ),
    ],
)
def test_failure_line(tmp_path: Path, log: str, code: int, line: str) -> None:
    path = tmp_path / "step.log"
    path.write_text(log)
    assert failure_line(path, code) == line


def test_only_the_end_of_a_large_log_is_read(tmp_path: Path) -> None:
    path = tmp_path / "step.log"
    path.write_text("x" * 5_000_000 + "\n" + TRACE + "ValueError: at the end\n")
    assert failure_line(path, 1) == "ValueError: at the end"
