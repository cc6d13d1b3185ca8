"""The emulator's claims: how soon it is ready, what it weighs, what it adds to a prediction, that nothing is lost.

``make bench-emulator``. The model server is the stand-in of the contract tests, which answers at once, so that what is
measured is the emulator. The load comes from this process: with the servers it shares the cores, so the rate is a
lower bound. Last line: JSON.

    ready_seconds   process start to the ready line, median     idle_mb        resident memory, before any load
    predict_rps     90/10 split, 16 connections                 added_p50_ms   against the server asked directly
    split_sd        distance of 10,000 draws from 10 %, in standard deviations
    lost            requests not answered 200 while splits change and a version is undeployed
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
SERVER = ROOT / "tests" / "contract" / "emulator" / "tiny_server.py"
LOCATION = "/v1/projects/bench/locations/us-central1"
BODY = b'{"instances": [[1.5, 2, "a", null]]}'
STARTS = 5
CONNECTIONS = 16


class Emulator:
    """An emulator whose ``interlock-ml`` image is the stand-in server."""

    def __init__(self, folder: Path) -> None:
        python = folder / "environments" / "ml" / "bin" / "python"
        if not python.exists():
            python.parent.mkdir(parents=True)
            python.write_text(f"#!/bin/sh\nexec {sys.executable} {SERVER}\n")
            python.chmod(0o755)
        command = [sys.executable, "-m", "interlock.emulator", "--state", str(folder / "state"), "--project", "bench"]
        started = time.perf_counter()
        self.process = subprocess.Popen(
            ["env", f"INTERLOCK_ENVIRONMENTS={folder / 'environments'}", *command],
            stdout=subprocess.PIPE,
            stderr=(folder / "log").open("ab"),
        )
        assert self.process.stdout is not None
        self.url = json.loads(self.process.stdout.readline())["url"]
        self.ready_seconds = time.perf_counter() - started

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)

    def resident_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{LOCATION}/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read())

    def finished(self, operation: Any) -> Any:
        path = operation["name"].partition("us-central1/")[2]
        done = self.call("POST", f"{path}:wait", {"timeout": "60s"})
        assert "error" not in done, done
        return done["response"]

    def deploy(self, endpoint: str, split: dict[str, int]) -> str:
        spec = {"displayName": "m", "containerSpec": {"imageUri": "interlock-ml"}}
        model = self.finished(self.call("POST", "models:upload", {"model": spec}))["model"]
        body = {"deployedModel": {"model": model}, "trafficSplit": split}
        deployed = self.finished(self.call("POST", f"endpoints/{endpoint}:deployModel", body))
        return str(deployed["deployedModel"]["id"])


class Client(asyncio.Protocol):
    """A keep-alive connection that sends one request after the other; answers are (status, seconds, body)."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.buffer = b""
        self.answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        if len(body) >= length and self.answer is not None:
            self.buffer = b""
            self.answer.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result((0, b""))

    async def ask(self) -> tuple[int, bytes]:
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(self.request)  # type: ignore[attr-defined]
        return await self.answer


async def connect(url: str) -> Client:
    address = urlsplit(url)
    head = f"POST {address.path} HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-type: application/json\r\n"
    request = f"{head}content-length: {len(BODY)}\r\n\r\n".encode() + BODY
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: Client(request), address.hostname, address.port)
    return client


async def load(url: str, *, seconds: float = math.inf, count: int = sys.maxsize) -> tuple[Counter[Any], float]:
    """Answers by deployed model (by status where it is not 200) and the time taken."""
    answers: Counter[Any] = Counter()
    started = time.perf_counter()
    sent = 0

    async def run(client: Client) -> None:
        nonlocal sent
        while sent < count and time.perf_counter() - started < seconds:
            sent += 1
            status, body = await client.ask()
            answers[json.loads(body)["deployedModelId"] if status == 200 else status] += 1
        client.transport.close()

    await asyncio.gather(*[run(await connect(url)) for _ in range(CONNECTIONS)])
    return answers, time.perf_counter() - started


async def latencies(url: str, count: int) -> list[float]:
    """Milliseconds of ``count`` requests, one after the other."""
    client = await connect(url)
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        status, _ = await client.ask()
        assert status == 200
        taken.append((time.perf_counter() - started) * 1000)
    client.transport.close()
    return taken


async def added_p50_ms(through: str, direct: str, rounds: int) -> float:
    """Median of the differences of the medians, the two asked in turns."""
    differences = []
    for _ in range(rounds):
        direct_ms = statistics.median(await latencies(direct, 300))
        differences.append(statistics.median(await latencies(through, 300)) - direct_ms)
    return statistics.median(differences)


async def lost_requests(emulator: Emulator, endpoint: str, url: str, old: str, new: str) -> int:
    """Requests not answered 200 while the split moves from 90/10 to 0/100 and the old version is undeployed."""
    running = asyncio.create_task(load(url, seconds=6.0))
    path = f"endpoints/{endpoint}"
    for share in (10, 25, 50, 75, 100):
        split = {"trafficSplit": {old: 100 - share, new: share}}
        await asyncio.to_thread(emulator.call, "PATCH", f"{path}?updateMask=trafficSplit", split)
        await asyncio.sleep(0.5)
    undeploy = {"deployedModelId": old, "trafficSplit": {new: 100}}
    operation = await asyncio.to_thread(emulator.call, "POST", f"{path}:undeployModel", undeploy)
    await asyncio.to_thread(emulator.finished, operation)
    answers, _ = await running
    return sum(count for key, count in answers.items() if isinstance(key, int))


def measure(folder: Path, seconds: float) -> dict[str, float]:
    starts = []
    for _ in range(STARTS - 1):
        emulator = Emulator(folder)
        starts.append(emulator.ready_seconds)
        emulator.stop()
    emulator = Emulator(folder)
    starts.append(emulator.ready_seconds)
    try:
        time.sleep(2)
        idle = emulator.resident_mb()
        created = emulator.finished(emulator.call("POST", "endpoints", {"displayName": "bench"}))
        endpoint = created["name"].rpartition("/")[2]
        old = emulator.deploy(endpoint, {"0": 100})
        new = emulator.deploy(endpoint, {old: 90, "0": 10})
        url = f"{emulator.url}{LOCATION}/endpoints/{endpoint}:predict"
        asyncio.run(load(url, count=2000))
        rates = []
        for _ in range(3):
            answers, taken = asyncio.run(load(url, seconds=seconds))
            rates.append(sum(answers.values()) / taken)
            print(f"{rates[-1]:8.0f} requests/s  {dict(answers)}")
        answers, _ = asyncio.run(load(url, count=10_000))
        direct = direct_url(emulator)
        result = {
            "ready_seconds": round(statistics.median(starts), 2),
            "idle_mb": round(idle, 1),
            "predict_rps": round(statistics.median(rates)),
            "added_p50_ms": round(asyncio.run(added_p50_ms(url, direct, rounds=7)), 3),
            "split_sd": round(abs(answers[new] - 1000) / math.sqrt(10_000 * 0.1 * 0.9), 2),
            "lost": asyncio.run(lost_requests(emulator, endpoint, url, old, new)),
        }
    finally:
        emulator.stop()
    return result


def direct_url(emulator: Emulator) -> str:
    """The predict route of one of the model servers."""
    with urllib.request.urlopen(f"{emulator.url}/health", timeout=10) as response:
        server = json.loads(response.read())["servers"][0]
    return str(server["url"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4.0, help="of load, three times (default: %(default)s)")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="bench-emulator-") as folder:
        print(json.dumps(measure(Path(folder), seconds)))


if __name__ == "__main__":
    main()
