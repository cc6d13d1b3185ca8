"""Servers under test: one process each, on the server's core; peers in environments built here."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from serving_peers.wrk import cores

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
UV = ROOT / ".venv/bootstrap/bin/uv"
START_SECONDS = 90
BUILD_SECONDS = 900


@dataclass(frozen=True)
class Server:
    """How to start one server; ``bodies`` is the protocol of its requests, ``environment`` its folder in .venv."""

    name: str
    environment: str
    command: list[str]
    path: str
    bodies: str = "v1"
    variables: dict[str, str] = field(default_factory=dict)


class Running(NamedTuple):
    """A started server."""

    server: Server
    port: int
    process: subprocess.Popen[bytes]
    started_seconds: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.server.path}"

    def rss_mb(self) -> float:
        """Memory of the process, without children."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return round(int(status.split("VmRSS:")[1].split()[0]) / 1024, 1)


def packages() -> dict[str, list[str]]:
    """What each environment holds; scikit-learn as here, so that the pickled pipeline is the same."""
    from importlib.metadata import version

    model = [f"scikit-learn=={version('scikit-learn')}", f"onnxruntime=={version('onnxruntime')}", "pandas", "joblib"]
    serve = ["msgspec", "pyyaml", "numpy", "onnxruntime", "uvicorn", "httptools", "uvloop",
             "google-cloud-storage>=3.1,<4"]  # fmt: skip
    return {
        "bench-cpr": ["google-cloud-aiplatform[prediction]==" + version("google-cloud-aiplatform"), *model],
        "bench-kserve": ["kserve>=0.15", *model],
        "bench-mlserver": ["mlserver>=1.7", *model],
        "bench-bentoml": ["bentoml>=1.4", *model],
        # What our own image holds: the extra `serve`, and the two packages every environment needs.
        "bench-serve": serve,
        # For a pickle: the same, and what wrote it.
        "bench-serve-sklearn": [*serve, *model, f"numpy=={version('numpy')}"],
    }


def build(environment: str) -> str:
    """Make the environment if it is not there; '' or why it cannot be made."""
    folder = ROOT / ".venv" / environment
    wanted = "\n".join(packages()[environment])
    stamp = folder / "packages.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return ""
    print(f"building .venv/{environment}", file=sys.stderr)
    for command in (
        [str(UV), "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        [str(UV), "pip", "install", "--quiet", "--compile-bytecode", *packages()[environment]],
    ):
        try:
            subprocess.run(
                command,
                env={**os.environ, "VIRTUAL_ENV": str(folder)},
                check=True,
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
            )
        except FileNotFoundError:
            return f"{UV} is missing: make setup"
        except subprocess.TimeoutExpired:
            return f"not installed in {BUILD_SECONDS} s"
        except subprocess.CalledProcessError as error:
            return " ".join(error.stderr.split())[-300:]
    stamp.write_text(wanted)
    return ""


def peers(folder: Path) -> list[Server]:
    """Every peer with both engines."""
    found = []
    for engine in ("sklearn", "onnx"):
        variables = {"PEER_FOLDER": str(folder), "PEER_ENGINE": engine, "PYTHONPATH": str(HERE)}
        cpr = {
            "AIP_STORAGE_URI": str(folder), "AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": "/predict",
            "HANDLER_MODULE": "google.cloud.aiplatform.prediction.handler", "HANDLER_CLASS": "PredictionHandler",
            "PREDICTOR_MODULE": "cpr_peer", "PREDICTOR_CLASS": "FlightsPredictor",
            "WEB_CONCURRENCY": "1", "VERTEX_CPR_WEB_CONCURRENCY": "1",
        }  # fmt: skip
        found += [
            Server(f"cpr_{engine}", "bench-cpr", ["-m", "google.cloud.aiplatform.prediction.model_server"],
                   "/predict", variables=variables | cpr),
            Server(f"kserve_{engine}", "bench-kserve", [str(HERE / "kserve_peer.py")],
                   "/v1/models/flights:predict", variables=variables),
            Server(f"mlserver_{engine}", "bench-mlserver", [str(HERE / "mlserver_peer.py")],
                   "/v2/models/flights/infer", "v2", variables),
            Server(f"bentoml_{engine}", "bench-bentoml", ["-m", "bentoml", "serve", "bentoml_peer:Flights"],
                   "/predict", variables=variables | {"BENTOML_DO_NOT_TRACK": "True"}),
        ]  # fmt: skip
    return found


def ours(folder: Path, log: Path) -> list[Server]:
    """Our server with and without its prediction log, on a pickle, and its HTTP stack with a fixed answer."""
    variables = {"AIP_STORAGE_URI": str(folder), "AIP_MODEL_VERSION": "7", "PYTHONPATH": str(ROOT / "src")}
    command = ["-m", "interlock.serving"]
    return [
        Server(
            "interlock",
            "bench-serve",
            command,
            "/predict",
            variables=variables | {"INTERLOCK_PREDICTION_LOG": str(log)},
        ),
        Server("interlock_no_log", "bench-serve", command, "/predict", variables=variables),
        Server(
            "interlock_sklearn",
            "bench-serve-sklearn",
            command,
            "/predict",
            variables=variables
            | {
                "AIP_STORAGE_URI": str(folder / "pickled"),
                "INTERLOCK_ALLOW_PICKLE": "1",
                "INTERLOCK_PREDICTION_LOG": str(log.with_name("log-sklearn")),
            },
        ),
        Server("echo", "bench-serve", [str(HERE / "echo_peer.py")], "/predict", variables=variables),
    ]


@contextmanager
def running(server: Server, output: Path) -> Iterator[Running]:
    """The server, once it answers; :class:`RuntimeError` with its last words if it does not."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    python = ROOT / ".venv" / server.environment / "bin" / "python"
    command = ["taskset", "-c", cores()[0], str(python), *server.command]
    if "bentoml" in server.command:
        command += ["--host", "127.0.0.1", "--port", str(port)]
    variables = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "OMP_NUM_THREADS": "1",
        "ORT_DISABLE_TELEMETRY": "1",  # as our server does by itself
    }
    variables |= server.variables | {"AIP_HTTP_PORT": str(port), "PEER_PORT": str(port)}
    words = output / f"{server.name}.log"
    started = time.monotonic()
    with words.open("wb") as log:
        process = subprocess.Popen(
            command, env=variables, stdout=log, stderr=subprocess.STDOUT, cwd=HERE, start_new_session=True
        )
    try:
        _wait_until_open(process, port, words)
        yield Running(server, port, process, time.monotonic() - started)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)  # its own session: only what it started
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=15)


def _wait_until_open(process: subprocess.Popen[bytes], port: int, words: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError("does not start: " + " ".join(words.read_text(errors="replace").split())[-300:])


def ask(live: Running, body: bytes) -> tuple[int, bytes]:
    """One request."""
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=30)
    connection.request("POST", live.server.path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, answer
