"""The real server process, with a real model, over real HTTP: the Vertex AI custom-container contract."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from interlock.contracts import InputField, Manifest, Signature, read_contract, write_contract
from interlock.errors import InputError
from interlock.serving.model import load_model

NUMBERS = ("distance", "wind")
CATEGORIES = ("carrier", "origin")
START_SECONDS = 60
HEADERS = {"content-type": "application/json"}


class Trained(NamedTuple):
    """A model folder, the scikit-learn pipeline it was exported from, and rows it was fitted on."""

    folder: Path
    pipeline: Any
    rows: Any


class Running(NamedTuple):
    """A server process and the line it printed when ready."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.ready["port"], timeout=20)
        try:
            content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, content, HEADERS | headers)
            response = connection.getresponse()
            raw = response.read()
            is_json = response.headers["content-type"] == "application/json"
            return response.status, response.headers, json.loads(raw) if is_json and raw else raw
        finally:
            connection.close()

    def probabilities(self, instances: list[Any]) -> list[float]:
        status, _, answer = self.request("POST", "/predict", {"instances": instances})
        assert status == 200, answer
        return [prediction["probability"] for prediction in answer["predictions"]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    import pandas as pd
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    rng = np.random.default_rng(7)
    n = 3000
    rows = pd.DataFrame(
        {
            "distance": rng.normal(size=n).astype(np.float32),
            "wind": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)).astype(np.float32),
            "carrier": rng.choice(["UA", "B6", "é", ""], size=n).astype(object),
            "origin": rng.choice(["JFK", "LGA"], size=n).astype(object),
        }
    )
    score = rows.distance + np.nan_to_num(rows.wind) + (rows.carrier == "UA")
    label = (score + rng.normal(size=n) > 0.5).astype(int)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    transformer = ColumnTransformer([("category", encoder, list(CATEGORIES))], remainder="passthrough")
    pipeline = Pipeline([("encode", transformer), ("model", HistGradientBoostingClassifier(max_iter=40))])
    pipeline.fit(rows, label)

    types = [(name, FloatTensorType([None, 1])) for name in NUMBERS]
    types += [(name, StringTensorType([None, 1])) for name in CATEGORIES]
    folder = tmp_path_factory.mktemp("model")
    graph = to_onnx(pipeline, initial_types=types, options={"zipmap": False})
    write_model(folder, graph.SerializeToString())
    return Trained(folder, pipeline, rows.head(300))


def write_model(folder: Path, graph: bytes) -> None:
    inputs = [
        InputField(name="distance", kind="number", required=True),
        InputField(name="wind", kind="number"),
    ]
    inputs += [InputField(name=name, kind="category") for name in CATEGORIES]
    (folder / "model.onnx").write_bytes(graph)
    signature = Signature(task="binary_classification", inputs=inputs, threshold=0.4, ignored=["flight"])
    write_contract(signature, folder / "signature.json")
    manifest = Manifest(
        name="flights",
        model_sha256=hashlib.sha256(graph).hexdigest(),
        signature_sha256=hashlib.sha256((folder / "signature.json").read_bytes()).hexdigest(),
        features_sha256="",
        table_sha256="",
        config_sha256="",
        config="",
        seed=7,
        window=[],
        rows={},
    )
    write_contract(manifest, folder / "manifest.json")


def start(storage_uri: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "interlock.serving"],
        env={"PATH": os.environ["PATH"], "AIP_STORAGE_URI": str(storage_uri), "AIP_HTTP_PORT": "0"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(storage_uri: object, **environment: str) -> Iterator[Running]:
    process = start(storage_uri, **environment)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
        line = process.stdout.readline() if readable else ""
        assert line, f"not ready: {process.stderr.read() if process.poll() is not None else 'too slow'}"
        yield Running(process, json.loads(line))
    finally:
        process.kill()
        process.communicate(timeout=20)


@pytest.fixture(scope="module")
def server(trained: Trained) -> Iterator[Running]:
    with running(trained.folder, AIP_MODEL_VERSION="7") as live:
        yield live


def instances_of(rows: Any) -> list[dict[str, Any]]:
    """Rows as a client sends them: a missing number is null."""
    return rows.astype(object).where(rows.notna(), None).to_dict("records")


# --- answers -------------------------------------------------------------------------------------------


def test_ready_line_and_health(server: Running) -> None:
    assert server.ready["ready"] is True
    assert server.ready["load_seconds"] > 0
    assert server.ready["resident_mb"] > 0
    assert server.request("GET", "/health")[0] == 200
    assert server.request("HEAD", "/health")[0] == 200


def test_served_equals_offline_equals_sklearn(server: Running, trained: Trained) -> None:
    model = load_model(trained.folder)
    rows = trained.rows
    offline = model.predict({name: rows[name].to_numpy() for name in (*NUMBERS, *CATEGORIES)})
    served = server.probabilities(instances_of(rows))
    assert offline.shape == (300,)
    assert offline.dtype == np.float32
    np.testing.assert_array_equal(np.float32(served), offline)
    np.testing.assert_allclose(served, trained.pipeline.predict_proba(rows)[:, 1], rtol=0, atol=1e-6)


def test_batch_equals_single(server: Running, trained: Trained) -> None:
    instances = instances_of(trained.rows.head(40))
    single = [server.probabilities([instance])[0] for instance in instances]
    assert server.probabilities(instances) == single


def test_arrays_equal_objects(server: Running, trained: Trained) -> None:
    instances = instances_of(trained.rows.head(10))
    assert server.probabilities([list(row.values()) for row in instances]) == server.probabilities(instances)


def test_unknown_and_missing_values_are_those_of_training(server: Running, trained: Trained) -> None:
    rows = trained.rows.head(2).copy()
    rows["carrier"] = ["never seen", ""]
    rows["wind"] = np.float32(np.nan)
    served = server.probabilities(
        [
            {
                "distance": float(rows.distance.iloc[0]),
                "carrier": "never seen",
                "origin": rows.origin.iloc[0],
            },
            {
                "distance": float(rows.distance.iloc[1]),
                "wind": None,
                "origin": rows.origin.iloc[1],
                "flight": 1,
            },
        ]
    )
    np.testing.assert_allclose(served, trained.pipeline.predict_proba(rows)[:, 1], rtol=0, atol=1e-6)


def test_answers_carry_label_version_and_request_id(server: Running, trained: Trained) -> None:
    instances = instances_of(trained.rows)
    body = {"instances": instances, "parameters": {"anything": 1}}
    _, headers, answer = server.request("POST", "/predict", body, **{"x-request-id": "given-1"})
    labels = {prediction["label"] for prediction in answer["predictions"]}
    assert labels == {0, 1}
    for prediction in answer["predictions"]:
        assert prediction["label"] == int(prediction["probability"] >= 0.4)
        assert prediction["model_version"] == "7"
    assert headers["x-request-id"] == "given-1"
    assert headers["x-interlock-version"] == "7"
    made = [server.request("GET", "/health", **{"x-request-id": "a b" * 99})[1]["x-request-id"] for _ in range(2)]
    assert made[0] != made[1]


def test_offline_refuses_what_onnx_runtime_would_read_as_text(trained: Trained) -> None:
    model = load_model(trained.folder)
    columns = {name: trained.rows[name].to_numpy() for name in (*NUMBERS, *CATEGORIES)}
    with pytest.raises(InputError, match="column 'carrier' holds None"):
        model.predict(columns | {"carrier": np.full(300, None)})
    with pytest.raises(InputError, match="column 'origin' is missing"):
        model.predict({name: column for name, column in columns.items() if name != "origin"})
    with pytest.raises(InputError, match="columns differ in shape"):
        model.predict(columns | {"wind": np.float32([1])})


# --- refusals ------------------------------------------------------------------------------------------

GOOD = b'{"distance": 1}'


@pytest.mark.parametrize(
    ("code", "body", "says"),
    [
        (400, b"", "empty"),
        (400, b"{", "malformed"),
        (400, b'{"instances": []}', "instances is empty"),
        (400, b'{"instances": [{"wind": 1}]}', "instance 0, field 'distance' is required"),
        (400, b'{"instances": [' + GOOD + b', {"distance": "1"}]}', "instance 1, field 'distance'"),
        (400, b'{"instances": [{"distance": 1, "wind": false}]}', "instance 0, field 'wind'"),
        (400, b'{"instances": [{"distance": 1, "origin": 3}]}', "instance 0, field 'origin'"),
        (400, b'{"instances": [{"distance": 1, "dest": 3}]}', "field 'dest' is not in the model's signature"),
        (400, b'{"instances": [{"distance": NaN}]}', "NaN is not JSON"),
        (400, b'{"instances": [{"distance": -Infinity}]}', "Infinity is not JSON"),
        (400, b'{"instances": [{"distance": 1e300}]}', "float32"),
        (400, b'{"instances": [{"distance": 1, "flight": ' + b"[" * 100_000, "nested too deeply"),
        (413, b'{"instances": [' + b",".join([GOOD] * 10_001) + b"]}", "more than 10000 instances"),
        (413, b'{"instances": [' + (GOOD + b",") * 100_000 + GOOD + b"]}", "more than 10000 instances"),
        (413, b" " * 10_000_001, "longer than 10000000 bytes"),
    ],
    ids=lambda value: value[:40].decode() if isinstance(value, bytes) else None,
)
def test_bad_input_is_refused_with_one_sentence(server: Running, code: int, body: bytes, says: str) -> None:
    status, headers, answer = server.request("POST", "/predict", body)
    assert (status, answer["error"]["code"]) == (code, code)
    assert says in answer["error"]["message"]
    assert answer["error"]["status"] == {400: "INVALID_ARGUMENT", 413: "PAYLOAD_TOO_LARGE"}[code]
    assert headers["x-interlock-version"] == "7"


def test_a_body_of_unknown_length_is_limited_too(server: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.ready["port"], timeout=20)
    chunks = iter([b" " * 1_000_000] * 11)
    connection.request("POST", "/predict", chunks, HEADERS, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_wrong_method_and_path(server: Running) -> None:
    status, headers, answer = server.request("GET", "/predict")
    assert (status, headers["allow"]) == (405, "POST")
    assert answer["error"]["message"] == "this path takes POST only"
    assert server.request("POST", "/health", {})[0] == 405
    assert server.request("POST", "/predict/", {})[0] == 404


def test_a_client_that_goes_away_harms_nobody(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.ready["port"])) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    with socket.create_connection(("127.0.0.1", server.ready["port"])) as client:
        client.sendall(b"\x00\xff nonsense\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    assert server.probabilities([{"distance": 1}])


def test_metrics_count_it_all_and_no_5xx(server: Running) -> None:
    server.probabilities([{"distance": 1}])
    server.request("POST", "/predict", b"{")
    status, headers, text = server.request("GET", "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = dict(line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#"))
    assert int(lines['interlock_requests_total{route="predict",status="2xx"}']) > 0
    assert int(lines['interlock_requests_total{route="predict",status="4xx"}']) > 0
    assert int(lines["interlock_predict_latency_seconds_count"]) > 1
    assert int(lines["interlock_instances_total"]) > 0
    assert lines["interlock_requests_in_flight"] == "1"  # this very request
    assert not any("5xx" in name for name in lines)


# --- start and stop ------------------------------------------------------------------------------------


def refused(storage_uri: object, **environment: str) -> str:
    """The one line on stderr of a server that must not start."""
    process = start(storage_uri, **environment)
    try:
        out, err = process.communicate(timeout=START_SECONDS)
    finally:
        process.kill()
    assert process.returncode not in (0, None)
    assert out == ""
    assert err.count("\n") == 1, err
    return err


def test_a_changed_model_is_not_served(trained: Trained, tmp_path: Path) -> None:
    for file in trained.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with (tmp_path / "model.onnx").open("ab") as model:
        model.write(b"\x00")
    assert "model.onnx has sha256" in refused(tmp_path)


def test_a_pickle_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04.")
    assert "loads ONNX only" in refused(tmp_path, INTERLOCK_ALLOW_PICKLE="1")


def test_a_signature_of_another_model_is_not_served(trained: Trained, tmp_path: Path) -> None:
    write_model(tmp_path, (trained.folder / "model.onnx").read_bytes())
    other = Signature(task="t", inputs=[InputField(name="other", kind="number")], threshold=0.5)
    write_contract(other, tmp_path / "signature.json")
    manifest = read_contract(tmp_path / "manifest.json", Manifest)
    digest = hashlib.sha256((tmp_path / "signature.json").read_bytes()).hexdigest()
    fields = {name: getattr(manifest, name) for name in manifest.__struct_fields__}
    write_contract(Manifest(**fields | {"signature_sha256": digest}), tmp_path / "manifest.json")
    assert "re-run train_model" in refused(tmp_path)


def test_a_taken_port_is_named(trained: Trained) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"cannot bind 127.0.0.1:{port}" in refused(trained.folder, AIP_HTTP_PORT=port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_exits_0(trained: Trained, number: signal.Signals) -> None:
    with running(trained.folder) as live:
        body = b'{"instances": [{"distance": 1}]}'
        with socket.create_connection(("127.0.0.1", live.ready["port"])) as client:
            client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body))
            wait_until_in_flight(live, 2)  # the half-sent request and the one that asks
            live.process.send_signal(number)
            wait_until_refused(live.ready["port"])
            client.sendall(body)
            assert client.recv(10_000).startswith(b"HTTP/1.1 200")
        assert live.process.wait(timeout=20) == 0


def wait_until_in_flight(live: Running, count: int) -> None:
    deadline = time.monotonic() + 20
    while f"in_flight {count}\n".encode() not in live.request("GET", "/metrics")[2]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_until_refused(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_model_is_fetched_from_the_object_store(trained: Trained) -> None:
    from gcp_storage_emulator.server import create_server
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    with create_server("127.0.0.1", port, in_memory=True, default_bucket="models"):
        client = storage.Client(
            project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": endpoint}
        )
        for file in trained.folder.iterdir():
            client.bucket("models").blob(f"flights/7/{file.name}").upload_from_filename(file)
        with running("gs://models/flights/7/", STORAGE_EMULATOR_HOST=endpoint) as live:
            assert live.probabilities([{"distance": 1}])
        err = refused("gs://models/flights/8", STORAGE_EMULATOR_HOST=endpoint)
        assert "gs://models/flights/8/model.onnx does not exist" in err
