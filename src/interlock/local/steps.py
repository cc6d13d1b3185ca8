"""The step processes that run now, so that a cancel can end every one of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

# Stdin is a pipe that the job holds open. When it closes, because the step is done or the job is dead,
# the background reader kills the whole process group.
LIFELINE = 'exec 3<&0 </dev/null; (cat <&3; kill -9 0) >/dev/null 2>&1 & exec 3<&-; exec "$@"'


class RunningSteps:
    """Kill functions of the running steps. After :meth:`cancel`, a step that starts is killed at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kills: list[Callable[[], None]] = []
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    @contextlib.contextmanager
    def running(self, kill: Callable[[], None]) -> Iterator[None]:
        with self._lock:
            self._kills.append(kill)
            if self._cancelled:
                kill()
        try:
            yield
        finally:
            with self._lock:
                self._kills.remove(kill)

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            for kill in self._kills:
                kill()


def run_plain(command: Sequence[str], variables: Mapping[str, str], log: Path, steps: RunningSteps) -> int:
    """Run ``command`` in its own process group, output appended to ``log``; its exit code, or -signal."""
    reader, writer = os.pipe()
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                ["sh", "-c", LIFELINE, "sh", *command],
                stdin=reader,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=variables,
                start_new_session=True,
            )
        with steps.running(lambda: kill_group(process.pid)):
            return process.wait()
    finally:
        os.close(reader)
        os.close(writer)


def kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
