"""Child processes that never outlive the emulator, not even one that was killed."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from interlock.settings import local_settings

_PR_SET_PDEATHSIG = 1
_LONGEST_LINE = 16 * 1024 * 1024
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """What a child runs before exec, so that the kernel sends it ``number`` when the emulator dies.

    The kernel watches the thread that forked: children are started from the main thread only. Elsewhere than
    on Linux there is no such call, and children of a killed emulator must be ended by hand.
    """
    if _libc is None:
        return None
    prctl = _libc.prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, int(number))


async def start_child(
    command: Sequence[str], environment: Mapping[str, str], log: Path, death_signal: signal.Signals
) -> asyncio.subprocess.Process:
    """Start ``command`` in its own process group: stdout is a pipe, stderr is appended to ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env={**local_settings().process_environment, **environment},
            limit=_LONGEST_LINE,
            start_new_session=True,
            preexec_fn=die_with_parent(death_signal),  # one system call, takes no lock
        )


async def end_child(process: asyncio.subprocess.Process, grace_seconds: float) -> None:
    """SIGTERM, then SIGKILL after ``grace_seconds``."""
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), grace_seconds)
        except TimeoutError:
            process.kill()
            await process.wait()


def last_lines(log: Path, count: int = 5) -> str:
    """The last non-empty lines of a log, on one line."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-count:])
