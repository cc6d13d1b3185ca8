"""Counters of one server process, as Prometheus text."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Final

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

# Upper bounds in seconds. A prediction takes well under a millisecond, a full batch some ten milliseconds.
LATENCY_BOUNDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip


class Metrics:
    """Requests, latency of predictions, requests in flight and what model this is. One thread only."""

    def __init__(self, *, model_name: str, model_version: str, model_sha256: str) -> None:
        self.in_flight = 0
        self.instances = 0
        self._requests: Counter[tuple[str, str]] = Counter()
        self._latency_counts = [0] * (len(LATENCY_BOUNDS) + 1)
        self._latency_sum = 0.0
        labels = {"name": model_name, "version": model_version, "sha256": model_sha256}
        self._info = ",".join(f'{key}="{_escape(value)}"' for key, value in labels.items())

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count one finished request. ``route`` is one of a few fixed words; only ``predict`` is timed."""
        self._requests[route, f"{status // 100}xx"] += 1
        if route == "predict":
            self._latency_counts[bisect_left(LATENCY_BOUNDS, seconds)] += 1
            self._latency_sum += seconds

    def render(self) -> bytes:
        """All metrics in the Prometheus text format."""
        lines = ["# TYPE interlock_requests_total counter"]
        lines += [
            f'interlock_requests_total{{route="{route}",status="{status}"}} {count}'
            for (route, status), count in sorted(self._requests.items())
        ]
        lines += self._latency_lines()
        lines += [
            "# TYPE interlock_instances_total counter",
            f"interlock_instances_total {self.instances}",
            "# TYPE interlock_requests_in_flight gauge",
            f"interlock_requests_in_flight {self.in_flight}",
            "# TYPE interlock_model_info gauge",
            f"interlock_model_info{{{self._info}}} 1",
        ]
        return ("\n".join(lines) + "\n").encode()

    def _latency_lines(self) -> list[str]:
        name = "interlock_predict_latency_seconds"
        lines, total = [f"# TYPE {name} histogram"], 0
        for bound, count in zip((*LATENCY_BOUNDS, "+Inf"), self._latency_counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*lines, f"{name}_sum {self._latency_sum:.6f}", f"{name}_count {total}"]


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
