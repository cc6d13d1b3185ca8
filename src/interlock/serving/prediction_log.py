"""What was asked and answered, as JSON lines, off the request path.

::

    event loop ──append──> deque ──thread, every 0.2 s──> predictions-0.jsonl
                             │                               └─ larger than FILE_BYTES ──> predictions-0.jsonl.1 …
                             └─ PENDING_BYTES waiting ──> dropped, counted

A line holds the request and the answer as they were on the wire: nothing is parsed to write it.
"""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path
from random import Random
from threading import Event, Thread
from time import time
from typing import BinaryIO, Final, NamedTuple

import msgspec

from interlock.errors import EnvironmentProblem
from interlock.serving.metrics import Metrics

PENDING_BYTES: Final = 32_000_000
FILE_BYTES: Final = 64_000_000
OLD_FILES: Final = 4
_FLUSH_SECONDS: Final = 0.2
_WRITE_BYTES: Final = 128_000  # so long the event loop may have to wait
_ENTRY_BYTES: Final = 200  # of one entry besides the two bodies

_log = logging.getLogger("interlock.serving")


class _Entry(NamedTuple):
    time: float
    request_id: bytes
    trace: bytes
    seconds: float
    request: bytes
    answer: bytes


class PredictionLog:
    """Logs a share of the answered predictions. ``add`` belongs to the event loop, writing to the thread."""

    def __init__(
        self, folder: Path, *, version: str, metrics: Metrics, share: float = 1.0, worker: int = 0,
        file_bytes: int = FILE_BYTES, pending_bytes: int = PENDING_BYTES,
    ) -> None:  # fmt: skip
        self._path = folder / f"predictions-{worker}.jsonl"
        self._version = msgspec.json.encode(version)
        self._metrics = metrics
        self._share = share
        self._file_bytes = file_bytes
        self._pending_bytes = pending_bytes
        self._random = Random()
        self._queue: deque[_Entry] = deque()
        # Two counts with one writer each need no lock.
        self._added = self._taken = 0
        self._stop = Event()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self._path.open("ab")
        except OSError as error:
            raise EnvironmentProblem(
                f"prediction log {self._path}: {error.strerror}; set INTERLOCK_PREDICTION_LOG to a writable folder"
            ) from error
        self._thread = Thread(target=self._write_until_stopped, name="prediction-log", daemon=True)
        self._thread.start()

    def add(self, request_id: bytes, trace: bytes, seconds: float, request: bytes, answer: bytes) -> None:
        """Take one answered request, unless it is not in the sample or there is no room."""
        if self._share < 1 and self._random.random() >= self._share:
            return
        size = _size(request, answer)
        if self._added - self._taken + size > self._pending_bytes:
            self._metrics.log_dropped += 1
            return
        self._added += size
        self._metrics.log_records += 1
        self._queue.append(_Entry(time(), request_id, trace, seconds, request, answer))

    def close(self) -> None:
        """Write what is left."""
        self._stop.set()
        self._thread.join()
        self._file.close()

    def _write_until_stopped(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stop.wait(_FLUSH_SECONDS)
            while self._queue:
                entries, size = [], 0
                while self._queue and size < _WRITE_BYTES:
                    entries.append(self._queue.popleft())
                    size += _size(entries[-1].request, entries[-1].answer)
                self._write(entries)
                self._taken += size

    def _write(self, entries: list[_Entry]) -> None:
        parts: list[bytes] = []
        for entry in entries:
            parts += self._line(entry)
        try:
            self._file.write(b"".join(parts))
            self._file.flush()
            if self._file.tell() > self._file_bytes:
                self._rotate()
        except OSError as error:
            _log.error("prediction log: %s; %d records lost", error.strerror, len(entries))

    def _line(self, entry: _Entry) -> tuple[bytes, ...]:
        """A line in parts: the bodies are copied once only. A trace is hexadecimal, but an id may hold quotes."""
        head = b'{"time":%.6f,"id":%b,"trace":"%b","version":%b,"seconds":%.6f,"request":' % (
            entry.time,
            msgspec.json.encode(entry.request_id.decode("latin-1")),
            entry.trace,
            self._version,
            entry.seconds,
        )
        return head, _one_line(entry.request), b',"response":', entry.answer, b"}\n"

    def _rotate(self) -> None:
        self._file.close()
        for number in range(OLD_FILES, 0, -1):
            newer = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
            if newer.exists():
                newer.replace(self._path.with_name(f"{self._path.name}.{number}"))
        self._file = self._path.open("ab")


def _size(request: bytes, answer: bytes) -> int:
    return len(request) + len(answer) + _ENTRY_BYTES


def _one_line(body: bytes) -> bytes:
    """Well-formed JSON holds line ends only between tokens; skipped parts may hold what is not UTF-8."""
    if not body.isascii():
        body = body.decode("utf-8", "replace").encode()
    return body.replace(b"\n", b" ").replace(b"\r", b" ")
