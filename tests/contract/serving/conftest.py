"""A small real model, and the real server process on it: the Vertex AI custom-container contract."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest

from interlock.contracts import InputField, Manifest, Signature, write_contract

START_SECONDS = 60
INSTANCE = {"distance": 0.5, "wind": None, "carrier": "UA", "origin": "JFK"}


class Trained(NamedTuple):
    """A model folder, the scikit-learn pipeline it was exported from, and rows it was fitted on."""

    folder: Path
    pipeline: Any
    rows: Any


class Live(NamedTuple):
    """A server process and the line it printed when ready."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]

    @property
    def port(self) -> int:
        return int(self.ready["port"])

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
        """Status, headers, and the body: parsed if it is JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            raw = response.read()
            is_json = response.headers["content-type"] == "application/json"
            return response.status, response.headers, json.loads(raw) if is_json and raw else raw
        finally:
            connection.close()

    def probabilities(self, instances: list[Any]) -> list[float]:
        """Probability of class 1 per instance."""
        status, _, answer = self.request("POST", "/predict", {"instances": instances})
        assert status == 200, answer
        return [prediction["probability"] for prediction in answer["predictions"]]

    def raw(self, *parts: bytes, half_close: bool = False, seconds: float = 20) -> bytes:
        """Everything the server says to these bytes until it closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as client:
            answer = b""
            try:
                for part in parts:
                    client.sendall(part)
                if half_close:
                    client.shutdown(socket.SHUT_WR)
                while chunk := client.recv(65536):
                    answer += chunk
            except ConnectionError:  # refused and closed while we were still sending
                pass
            return answer

    def metric(self, name: str) -> float:
        """One value of /metrics."""
        text = self.request("GET", "/metrics")[2].decode()
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return float(lines.get(name, 0))

    def rss_mb(self) -> float:
        """Memory of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def is_well(self) -> None:
        """It answers a prediction, and has never failed."""
        status, _, answer = self.request("POST", "/predict", {"instances": [INSTANCE]})
        assert status == 200, answer
        assert self.process.poll() is None
        text = self.request("GET", "/metrics")[2].decode()
        assert 'status="5xx"' not in text
        assert 'interlock_refusals_total{kind="internal"} 0' in text


def spawn(storage_uri: object, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "interlock.serving"],
        env={"PATH": os.environ["PATH"], "AIP_STORAGE_URI": str(storage_uri), "AIP_HTTP_PORT": "0"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def serving(storage_uri: object, environment: dict[str, str]) -> Iterator[Live]:
    process = spawn(storage_uri, {"AIP_MODEL_VERSION": "7"} | environment)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
        line = process.stdout.readline() if readable else ""
        assert line, f"not ready: {process.stderr.read() if process.poll() is not None else 'too slow'}"
        yield Live(process, json.loads(line))
    finally:
        process.terminate()  # with workers, killing the parent would leave its children
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate(timeout=20)


Start = Callable[..., Live]


@pytest.fixture
def start(model: Path) -> Iterator[Start]:
    """Start servers with variables of the environment; they end with the test."""
    with ExitStack() as servers:
        yield lambda folder=model, **variables: servers.enter_context(serving(folder, variables))


@pytest.fixture(scope="session")
def live(model: Path) -> Iterator[Live]:
    """One server for all tests that leave it as it was."""
    with serving(model, {}) as server:
        yield server


@pytest.fixture(scope="session")
def refused() -> Callable[..., str]:
    """The one line on stderr of a server that must not start."""

    def run(storage_uri: object, **variables: str) -> str:
        process = spawn(storage_uri, variables)
        try:
            out, err = process.communicate(timeout=START_SECONDS)
        finally:
            process.kill()
        assert process.returncode not in (0, None)
        assert out == ""
        assert err.count("\n") == 1, err
        return err

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model of two numbers and two categories, exported."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    pipeline, rows = fitted_pipeline()
    types = [("distance", FloatTensorType([None, 1])), ("wind", FloatTensorType([None, 1]))]
    types += [("carrier", StringTensorType([None, 1])), ("origin", StringTensorType([None, 1]))]
    graph = to_onnx(pipeline, initial_types=types, options={"zipmap": False}).SerializeToString()
    folder = tmp_path_factory.mktemp("model")
    write_model(folder, graph)
    return Trained(folder, pipeline, rows.head(300))


@pytest.fixture(scope="session")
def model(trained: Trained) -> Path:
    """The folder of :func:`trained`."""
    return trained.folder


@pytest.fixture(scope="session")
def pickled(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pipeline as a pickle."""
    import joblib

    folder = tmp_path_factory.mktemp("pickled")
    joblib.dump(trained.pipeline, folder / "model.joblib")
    write_model(folder, (folder / "model.joblib").read_bytes(), form="joblib")
    return folder


def write_model(folder: Path, content: bytes, *, form: Literal["onnx", "joblib"] = "onnx") -> None:
    (folder / f"model.{form}").write_bytes(content)
    inputs = [InputField(name="distance", kind="number", required=True), InputField(name="wind", kind="number")]
    inputs += [InputField(name="carrier", kind="category"), InputField(name="origin", kind="category")]
    signature = Signature(task="binary", inputs=inputs, threshold=0.4, ignored=["flight"])
    write_contract(signature, folder / "signature.json")
    manifest = Manifest(
        name="flights",
        format=form,
        model_sha256=hashlib.sha256(content).hexdigest(),
        signature_sha256=hashlib.sha256((folder / "signature.json").read_bytes()).hexdigest(),
        features_sha256="",
        table_sha256="",
        config_sha256="",
        config="",
        seed=7,
        window=[],
        rows={},
        libraries={name: version(name) for name in ("scikit-learn", "numpy")},
    )
    write_contract(manifest, folder / "manifest.json")


def fitted_pipeline() -> tuple[Any, Any]:
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    rng = np.random.default_rng(7)
    n = 2000
    rows = pd.DataFrame(
        {
            "distance": rng.normal(size=n).astype(np.float32),
            "wind": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)).astype(np.float32),
            "carrier": rng.choice(["UA", "B6", "é", ""], size=n).astype(object),
            "origin": rng.choice(["JFK", "LGA"], size=n).astype(object),
        }
    )
    label = (rows.distance + np.nan_to_num(rows.wind) + (rows.carrier == "UA") + rng.normal(size=n) > 0.5).astype(int)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    transformer = ColumnTransformer([("category", encoder, ["carrier", "origin"])], remainder="passthrough")
    pipeline = Pipeline([("encode", transformer), ("model", HistGradientBoostingClassifier(max_iter=30))])
    return pipeline.fit(rows, label), rows


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """:func:`wait_for`."""
    return wait_for
