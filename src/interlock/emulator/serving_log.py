"""The request-response log: rows into the warehouse by a background thread, never in the way of an answer."""

from __future__ import annotations

import itertools
import logging
import secrets
import threading
from collections import deque
from typing import NamedTuple

import sqlalchemy as sa

from interlock.warehouse import request_response_log

_INTERVAL_SECONDS = 0.2
_LARGEST_BATCH = 5_000
_LARGEST_BACKLOG = 200_000  # rows; beyond it the oldest are dropped, and counted
log = logging.getLogger(__name__)


class Row(NamedTuple):
    """One answered request. The payloads are JSON arrays as they were on the wire."""

    endpoint: str
    deployed_model_id: str
    model_version: str
    logging_time: float
    request_payload: bytes
    response_payload: bytes
    status: int
    latency_ms: float


class ServingLog:
    """A bounded queue and the thread that empties it."""

    def __init__(self, engine: sa.Engine, interval_seconds: float = _INTERVAL_SECONDS) -> None:
        self._engine = engine
        self._interval = interval_seconds
        self._rows: deque[tuple[str, Row]] = deque(maxlen=_LARGEST_BACKLOG)
        self._ids = (f"{prefix}{number}" for prefix in (secrets.token_hex(6) + "-",) for number in itertools.count())
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, name="serving-log", daemon=True)
        self.dropped = 0

    def start(self) -> None:
        """Start the writer."""
        self._thread.start()

    def append(self, row: Row) -> None:
        """Queue a row; costs about a microsecond."""
        if len(self._rows) == _LARGEST_BACKLOG:
            self.dropped += 1
        self._rows.append((next(self._ids), row))

    def stop(self) -> None:
        """Write what is queued, then end."""
        self._stopping.set()
        self._thread.join()
        self._engine.dispose()

    def _write(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(self._interval)
            while self._rows and self._write_batch():
                pass

    def _write_batch(self) -> bool:
        batch = [self._rows.popleft() for _ in range(min(len(self._rows), _LARGEST_BATCH))]
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(request_response_log), [_columns(*entry) for entry in batch])
        except sa.exc.SQLAlchemyError as error:
            log.warning("serving log: %d rows wait, the warehouse refuses them: %s", len(batch), error)
            self._rows.extendleft(reversed(batch[: _LARGEST_BACKLOG - len(self._rows)]))
            return False
        return True


def _columns(request_id: str, row: Row) -> dict[str, object]:
    return {
        "endpoint": row.endpoint,
        "deployed_model_id": row.deployed_model_id,
        "model_version": row.model_version,
        "logging_time": row.logging_time,
        "request_id": request_id,
        "request_payload": row.request_payload.decode(errors="replace"),
        "response_payload": row.response_payload.decode(errors="replace"),
        "status": row.status,
        "latency_ms": row.latency_ms,
    }
