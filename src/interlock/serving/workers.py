"""Several server processes on one socket.

::

    parent: bind ──fork──> worker 0..n-1: load, warm, listen ──ready──> parent prints one ready line
      │ SIGTERM, SIGINT: passed on to all, then waits until they have drained
      │ a worker fails before it is ready: all end, with its exit code
      └ a worker dies later: started again in its place, at most one a second

Every worker loads the model itself, after the fork: ONNX Runtime has threads. The listening socket is shared, so no
connection is lost with a worker that never accepted it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

from interlock.errors import InterlockError

# A worker: its number, and what to call with the ready line.
Work = Callable[[int, Callable[[str], None]], None]
_RESTART_SECONDS: Final = 1.0
_STOPS: Final = (signal.SIGTERM, signal.SIGINT)

_log = logging.getLogger("interlock.serving")


class WorkerPool:
    """The parent. ``run`` returns the exit code."""

    def __init__(self, work: Work, count: int) -> None:
        self._work = work
        self._count = count
        self._numbers: dict[int, int] = {}  # by process id
        self._stopping = False
        self._ready_read, self._ready_write = os.pipe()

    def run(self, say_ready: Callable[[str], None]) -> int:
        """Start all, say ready once all are, keep them running until told to stop."""
        for number in _STOPS:
            signal.signal(number, self._stop)
        for worker in range(self._count):
            self._start(worker)
        lines = [self._next_ready() for _ in range(self._count)]
        if not all(lines):
            self._stop(signal.SIGTERM, None)
            return max(self._wait() for _ in range(len(self._numbers)))
        say_ready(max(lines))
        while self._numbers:
            started = time.monotonic()
            code = self._wait(restart=True)
            if not self._stopping and code != 0:
                time.sleep(max(0.0, _RESTART_SECONDS - (time.monotonic() - started)))
        return 0

    def _start(self, worker: int) -> None:
        # Told to stop between the fork and its note, a worker would be missed.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        process = os.fork()
        if process:
            self._numbers[process] = worker
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
            if self._stopping:
                os.kill(process, signal.SIGTERM)
            return
        for number in _STOPS:  # until the server has its own
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        code = 1
        try:
            self._work(worker, self._tell_parent)
            code = 0
        except InterlockError as error:
            sys.stderr.write(f"interlock.serving: {error}\n")
            # The parent stops everybody once it is told: this worker must still end with its own code.
            signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
            self._tell_parent("")
            code = error.exit_code
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)  # the rest of the parent's stack must not run a second time

    def _tell_parent(self, line: str) -> None:
        os.write(self._ready_write, line.encode() + b"\n")

    def _next_ready(self) -> str:
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(self._ready_read, 1)
        return line.decode().strip()

    def _wait(self, *, restart: bool = False) -> int:
        process, status = os.wait()
        worker = self._numbers.pop(process)
        code = os.waitstatus_to_exitcode(status)
        if restart and not self._stopping:
            _log.error("worker %d ended with %d: started again", worker, code)
            self._start(worker)
        return abs(code)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True
        for process in list(self._numbers):
            os.kill(process, signal.SIGTERM)
