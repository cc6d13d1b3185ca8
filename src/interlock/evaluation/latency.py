"""Latency in the real model server: started as it is in production, asked one row at a time, then in batches.

All models are asked in turn, and the one that goes first changes each time, so that noise falls on all alike. One
connection, one request at a time: what is measured is the model and its server, not a queue.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from interlock.contracts import Latency
from interlock.errors import GateFailed

START_SECONDS = 60.0
# Enough for an upper bound of the 99th percentile; batches without a limit of their own are asked for the median.
SINGLE_REQUESTS, BATCH_REQUESTS, UNLIMITED_BATCHES = 1000, 400, 100
WARM_SHARE = 0.1
RESAMPLES = 1000


class Server(msgspec.Struct, frozen=True):
    """A running model server."""

    port: int
    pid: int
    load_seconds: float


@contextmanager
def running_server(folder: Path, environment: Mapping[str, str]) -> Iterator[Server]:
    """The model server on ``folder``. :class:`GateFailed` if it does not start."""
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
        yield Server(int(ready["port"]), process.pid, float(ready["load_seconds"]))
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)
        process.stdout.close()
        process.stderr.close()


class Served(msgspec.Struct, frozen=True):
    """A model's folder, and requests in its own signature: of one row each, and of ``batch_rows`` each."""

    folder: Path
    single: list[bytes]
    batch: list[bytes]
    batch_rows: int


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What one model took: milliseconds per request, seconds to load, bytes resident after all requests."""

    single: list[float]
    batch: list[float]
    batch_rows: int
    load_seconds: float
    memory_bytes: int | None


def measure_latency(
    models: Mapping[str, Served], *, environment: Mapping[str, str], batches: int = BATCH_REQUESTS
) -> dict[str, Taken]:
    """Ask every model of ``models`` in turn; a tenth of the requests is sent first and not counted."""
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(running_server(served.folder, environment)) for name, served in models.items()
        }
        single = _alternate({name: served.single for name, served in models.items()}, servers, SINGLE_REQUESTS)
        batch = _alternate({name: served.batch for name, served in models.items()}, servers, batches)
        return {
            name: Taken(
                single=single[name],
                batch=batch[name],
                batch_rows=served.batch_rows,
                load_seconds=servers[name].load_seconds,
                memory_bytes=resident_bytes(servers[name].pid),
            )
            for name, served in models.items()
        }


def latencies_of(taken: Mapping[str, Taken]) -> list[Latency]:
    """Medians and 99th percentiles with their bounds, of one row and of batches."""
    found = []
    for name, one in taken.items():
        for rows, times in ((1, one.single), (one.batch_rows, one.batch)):
            p50, p99 = (quantile_bounds(times, share) for share in (0.5, 0.99))
            found.append(
                Latency(
                    model=name,
                    rows=rows,
                    requests=len(times),
                    p50_ms=quantile(times, 0.5),
                    p50_low=p50[0],
                    p50_high=p50[1],
                    p99_ms=quantile(times, 0.99),
                    p99_low=p99[0],
                    p99_high=p99[1],
                )
            )
    return found


def p99_ratio(candidate: Sequence[float], champion: Sequence[float]) -> list[float]:
    """Candidate's 99th percentile over the champion's, with 95 % bounds from 1,000 bootstrap resamples."""
    random = np.random.default_rng(0)
    tails = [_resampled_p99(np.asarray(times), random) for times in (candidate, champion)]
    low, high = np.quantile(tails[0] / tails[1], [0.025, 0.975])
    return [quantile(candidate, 0.99) / quantile(champion, 0.99), float(low), float(high)]


def _resampled_p99(times: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    drawn = random.choice(times, size=(RESAMPLES, len(times)))
    return np.asarray(np.quantile(drawn, 0.99, axis=1, method="inverted_cdf"))


def _alternate(
    bodies: Mapping[str, list[bytes]], servers: Mapping[str, Server], requests: int
) -> dict[str, list[float]]:
    connections = {name: http.client.HTTPConnection("127.0.0.1", server.port) for name, server in servers.items()}
    taken: dict[str, list[float]] = {name: [] for name in servers}
    order = list(servers)
    for index in range(-int(requests * WARM_SHARE), requests):
        for name in order if index % 2 else reversed(order):
            milliseconds = _ask(name, connections[name], bodies[name][index % len(bodies[name])])
            if index >= 0:
                taken[name].append(milliseconds)
    for connection in connections.values():
        connection.close()
    return taken


def _ask(name: str, connection: http.client.HTTPConnection, body: bytes) -> float:
    started = time.perf_counter()
    connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise GateFailed(f"latency gate: {name} answered {answer.status}: {text[:200].decode()}")
    return (time.perf_counter() - started) * 1e3


def resident_bytes(pid: int) -> int | None:
    """Memory of a process that is in RAM; None where the system does not tell (no /proc)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
    return int(sizes[0]) * 1024 if sizes else None


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value with at least ``share`` of all values at or below it."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def quantile_bounds(values: Sequence[float], share: float) -> tuple[float | None, float | None]:
    """95 % bounds of a quantile, from ranks, so for any distribution; None where too few values bound it.

    How many of n values are below the true quantile is binomial (David & Nagaraja 2003, Order Statistics, 7.1).
    """
    from scipy.stats import binom

    ordered, n = sorted(values), len(values)
    low, high = int(binom.ppf(0.025, n, share)), int(binom.ppf(0.975, n, share)) + 1
    return ordered[low - 1] if low >= 1 else None, ordered[high - 1] if high <= n else None
