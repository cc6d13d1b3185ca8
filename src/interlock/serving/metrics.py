"""Counters of the server, as Prometheus text; with several workers, of all of them.

::

    worker 0: list of counts ──publish, twice a second and before a scrape──> row 0 ┐
    worker 1: list of counts ───────────────────────────────────────────────> row 1 ┼─sum──> text
                                                            memory shared since fork ┘
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

# Upper bounds in seconds. A prediction takes well under a millisecond, a full batch some ten milliseconds.
LATENCY_BOUNDS: Final = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
BATCH_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096)
SCORE_BOUNDS: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_SCORE_EDGES: Final = np.array(SCORE_BOUNDS)

ROUTES: Final = ("predict", "health", "metrics", "infer", "other")
CLASSES: Final = ("2xx", "4xx", "5xx")
REFUSALS: Final = (
    "bad input", "too large", "busy", "client gone", "not found", "slow reader",
    "http 400", "http 408", "http 431", "http 503", "internal",
)  # fmt: skip
_SINGLES: Final = ("instances", "in_flight", "connections", "log_records", "log_dropped", "latency_sum", "score_sum")


class _Places:
    """Where each count is in the list."""

    requests = 0
    refusals = requests + len(ROUTES) * len(CLASSES)
    latency = refusals + len(REFUSALS)
    batches = latency + len(LATENCY_BOUNDS) + 1
    scores = batches + len(BATCH_BOUNDS) + 1
    singles = scores + len(SCORE_BOUNDS) + 1
    total = singles + len(_SINGLES)


Board = npt.NDArray[np.float64]


def shared_board(workers: int) -> Board:
    """A row of zeros per worker, in memory that children of a fork share."""
    memory = mmap.mmap(-1, workers * _Places.total * 8)
    return np.frombuffer(memory, dtype=np.float64).reshape(workers, _Places.total)


class Metrics:
    """Counts of one worker; only its event loop adds to them. A worker started again goes on from its row."""

    def __init__(
        self, *, model_name: str, model_version: str, model_sha256: str, engine: str = "graph",
        board: Board | None = None, worker: int = 0,
    ) -> None:  # fmt: skip
        self._board = shared_board(1) if board is None else board
        self._row = self._board[worker]
        counts = self._row.tolist()
        places = _Places
        self._requests = counts[places.requests : places.refusals]
        self._refusals = counts[places.refusals : places.latency]
        self._latency = counts[places.latency : places.batches]
        self._batches = counts[places.batches : places.scores]
        self._scores = counts[places.scores : places.singles]
        self.instances, _, _, self.log_records, self.log_dropped, self._latency_sum, self._score_sum = counts[
            places.singles :
        ]
        self.in_flight = self.connections = 0
        labels = {"name": model_name, "version": model_version, "sha256": model_sha256, "engine": engine}
        self._info = ",".join(f'{key}="{_escape(value)}"' for key, value in labels.items())

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count one finished request. ``route`` is one of ROUTES; only predictions are timed."""
        place = ROUTES.index(route) * len(CLASSES)
        self._requests[place + (0 if status < 400 else 1 if status < 500 else 2)] += 1
        if route in ("predict", "infer"):
            self._latency[bisect_left(LATENCY_BOUNDS, seconds)] += 1
            self._latency_sum += seconds

    def refuse(self, kind: str) -> None:
        """Count one refusal by its kind, one of REFUSALS."""
        self._refusals[REFUSALS.index(kind)] += 1

    def scored(self, probabilities: list[float]) -> None:
        """Count the answers of one request."""
        n = len(probabilities)
        self.instances += n
        self._batches[bisect_left(BATCH_BOUNDS, n)] += 1
        if n == 1:
            self._scores[bisect_left(SCORE_BOUNDS, probabilities[0])] += 1
            self._score_sum += probabilities[0]
            return
        places = _SCORE_EDGES.searchsorted(probabilities)
        for place, count in enumerate(np.bincount(places, minlength=len(self._scores)).tolist()):
            self._scores[place] += count
        self._score_sum += sum(probabilities)

    def publish(self) -> None:
        """Show this worker's counts to all."""
        singles = [
            self.instances, self.in_flight, self.connections, self.log_records, self.log_dropped,
            self._latency_sum, self._score_sum,
        ]  # fmt: skip
        self._row[:] = [*self._requests, *self._refusals, *self._latency, *self._batches, *self._scores, *singles]

    def render(self) -> bytes:
        """All metrics in the Prometheus text format, summed over the workers."""
        self.publish()
        counts = self._board.sum(axis=0).tolist()
        places = _Places
        single = dict(zip(_SINGLES, counts[places.singles :], strict=True))
        requests = zip(
            ((route, status) for route in ROUTES for status in CLASSES), counts[places.requests :], strict=False
        )
        refusals = zip(REFUSALS, counts[places.refusals :], strict=False)
        lines = ["# TYPE interlock_requests_total counter"]
        lines += [
            f'interlock_requests_total{{route="{route}",status="{status}"}} {int(count)}'
            for (route, status), count in requests
            if count
        ]
        lines.append("# TYPE interlock_refusals_total counter")
        lines += [f'interlock_refusals_total{{kind="{kind}"}} {int(count)}' for kind, count in refusals]
        lines += _histogram("predict_latency_seconds", LATENCY_BOUNDS, counts[places.latency :], single["latency_sum"])
        lines += _histogram("batch_instances", BATCH_BOUNDS, counts[places.batches :], single["instances"])
        lines += _histogram("score", SCORE_BOUNDS, counts[places.scores :], single["score_sum"])
        lines += _single("instances_total", "counter", single["instances"])
        lines += _single("prediction_log_records_total", "counter", single["log_records"])
        lines += _single("prediction_log_dropped_total", "counter", single["log_dropped"])
        lines += _single("requests_in_flight", "gauge", single["in_flight"])
        lines += _single("connections", "gauge", single["connections"])
        lines += _single("workers", "gauge", len(self._board))
        lines += ["# TYPE interlock_model_info gauge", f"interlock_model_info{{{self._info}}} 1"]
        return ("\n".join(lines) + "\n").encode()


def _single(name: str, kind: str, value: float) -> list[str]:
    return [f"# TYPE interlock_{name} {kind}", f"interlock_{name} {int(value)}"]


def _histogram(name: str, bounds: Sequence[float], counts: Sequence[float], total: float) -> list[str]:
    name = f"interlock_{name}"
    lines, below = [f"# TYPE {name} histogram"], 0
    for bound, count in zip((*bounds, "+Inf"), counts, strict=False):
        below += int(count)
        lines.append(f'{name}_bucket{{le="{bound}"}} {below}')
    return [*lines, f"{name}_sum {total:.6f}", f"{name}_count {below}"]


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
