"""The state folder: one emulator at a time, and where it listens.

::

    <state>/emulator.lock   held by the running emulator, released by the kernel however it ends
    <state>/emulator.json   {"pid", "port", "url"} while it takes requests
    <state>/emulator.db     resources          <state>/warehouse.db  serving log, outcomes, journal (default)
    <state>/servers/        one log per model server      <state>/jobs/  one folder per pipeline job
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

import msgspec

from interlock.errors import EnvironmentProblem

READY = "emulator.json"


class Ready(msgspec.Struct, frozen=True):
    """Where a running emulator is."""

    pid: int
    port: int
    url: str


def lock_state(state: Path) -> IO[str]:
    """Take the folder; keep the returned file open as long as the emulator runs."""
    state.mkdir(parents=True, exist_ok=True)
    file = (state / "emulator.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise EnvironmentProblem(
            f"state folder {state} is used by another emulator (pid {owner}): stop that one, or give another --state"
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def write_ready(state: Path, ready: Ready) -> None:
    """Write emulator.json in one step: a reader finds all of it or none."""
    draft = state / f"{READY}.new"
    draft.write_bytes(msgspec.json.encode(ready))
    draft.replace(state / READY)


def remove_ready(state: Path) -> None:
    """Forget where an emulator was."""
    (state / READY).unlink(missing_ok=True)
