"""Latency in the real model server: started as it is in production, asked one row at a time."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from interlock.errors import GateFailed

START_SECONDS = 60.0


class ServerLatency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds on loopback, one row per request, one connection."""

    requests: int
    p50_ms: float
    p99_ms: float
    load_seconds: float


@contextmanager
def running_server(folder: Path, environment: Mapping[str, str]) -> Iterator[tuple[int, float]]:
    """The model server on ``folder``: yields (port, seconds to load). :class:`GateFailed` if it does not start."""
    command = [sys.executable, "-m", "interlock.serving"]
    variables = {**environment, "AIP_STORAGE_URI": str(folder), "AIP_HTTP_PORT": "0"}
    process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        if not line:
            reason = process.stderr.read().strip().splitlines()[-1:] or ["no message"]
            raise GateFailed(f"latency gate: the model server does not start on the candidate: {reason[0]}")
        ready = json.loads(line)
        yield int(ready["port"]), float(ready["load_seconds"])
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)
        process.stdout.close()
        process.stderr.close()


class Served(msgspec.Struct, frozen=True):
    """A model's folder and single-row requests in its own signature."""

    folder: Path
    bodies: list[bytes]


def measure_latency(models: Mapping[str, Served], *, environment: Mapping[str, str]) -> dict[str, ServerLatency]:
    """Latency of each named model, asked in turn so that noise falls on all alike.

    All have the same number of bodies; a tenth of them is sent first and not counted.
    """
    with ExitStack() as servers:
        running = {
            name: servers.enter_context(running_server(served.folder, environment)) for name, served in models.items()
        }
        return _alternate(models, running)


def _alternate(models: Mapping[str, Served], servers: Mapping[str, tuple[int, float]]) -> dict[str, ServerLatency]:
    connections = {name: http.client.HTTPConnection("127.0.0.1", port) for name, (port, _) in servers.items()}
    taken: dict[str, list[float]] = {name: [] for name in servers}
    requests = min(len(served.bodies) for served in models.values())
    warm = requests // 10
    for index in range(-warm, requests):
        for name, connection in connections.items():
            started = time.perf_counter()
            body = models[name].bodies[index]
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise GateFailed(f"latency gate: {name} answered {answer.status}: {text[:200].decode()}")
            if index >= 0:
                taken[name].append((time.perf_counter() - started) * 1e3)
    for connection in connections.values():
        connection.close()
    return {
        name: ServerLatency(
            requests=len(times),
            p50_ms=quantile(times, 0.5),
            p99_ms=quantile(times, 0.99),
            load_seconds=servers[name][1],
        )
        for name, times in taken.items()
    }


def quantile(values: list[float], share: float) -> float:
    """The smallest value with at least ``share`` of all values at or below it."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
