"""What a job reports, as JSON lines.

::

    {"event": "task", "task": "validate-data", "state": "RUNNING", "time": 1.7e9, "log": "…/x.log"}
    {"event": "task", "task": "validate-data", "state": "SUCCEEDED", "time": …, "log": …,
     "inputs": {parameter: value}, "input_artifacts": {name: uri},
     "outputs": {parameter: value}, "artifacts": {name: uri}, "metadata": {artifact name: {…}}}
    {"event": "task", "task": "validate-data", "state": "FAILED" | "CANCELLED", "time": …, "log": …,
     "error": "InputError: …", "inputs": …, "input_artifacts": …}
    {"event": "task", "task": …, "state": "SKIPPED", …}        its outputs came from the cache
    {"event": "task", "task": …, "state": "NOT_TRIGGERED", …}  not started, because another task failed
    {"event": "job", "state": "SUCCEEDED" | "FAILED" | "CANCELLED", "time": …, "error": "task … failed: …"}

``time`` is seconds since 1970. The job's event is the last line.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from typing import Any


class EventWriter:
    """Writes whole lines to a descriptor, from any thread. After :meth:`close`, nothing more."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._closed = False

    def task(self, name: str, state: str, **fields: Any) -> None:
        self._write({"event": "task", "task": name, "state": state, "time": time.time(), **fields})

    def close(self, state: str, error: str = "") -> None:
        """Write the job's event, unless one was written before."""
        self._write({"event": "job", "state": state, "time": time.time(), "error": error}, last=True)

    def _write(self, event: dict[str, Any], *, last: bool = False) -> None:
        line = memoryview(json.dumps(event, default=str).encode() + b"\n")
        with self._lock:
            if self._closed:
                return
            self._closed = last
            with contextlib.suppress(BrokenPipeError):  # nobody reads: the job's main loop sees it and ends
                while line:
                    line = line[os.write(self._descriptor, line) :]
