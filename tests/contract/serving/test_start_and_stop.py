"""How the server starts, what it refuses to start with, and how it ends."""

from __future__ import annotations

import hashlib
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlock.contracts import InputField, Manifest, Signature, read_contract, write_contract

Refused = Callable[..., str]
Eventually = Callable[[Callable[[], bool]], None]


def test_a_changed_model_is_not_served(model: Path, tmp_path: Path, refused: Refused) -> None:
    for file in model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with (tmp_path / "model.onnx").open("ab") as file:
        file.write(b"\x00")
    assert "model.onnx has sha256" in refused(tmp_path)


def test_a_pickle_of_unknown_origin_is_not_served(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04.")
    assert "no model.onnx or model.joblib" in refused(tmp_path, INTERLOCK_ALLOW_PICKLE="1")


def test_a_signature_of_another_model_is_not_served(model: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "model.onnx").write_bytes((model / "model.onnx").read_bytes())
    other = Signature(task="binary", inputs=[InputField(name="other", kind="number")], threshold=0.5)
    write_contract(other, tmp_path / "signature.json")
    manifest = read_contract(model / "manifest.json", Manifest)
    digest = hashlib.sha256((tmp_path / "signature.json").read_bytes()).hexdigest()
    fields = {name: getattr(manifest, name) for name in manifest.__struct_fields__}
    write_contract(Manifest(**fields | {"signature_sha256": digest}), tmp_path / "manifest.json")
    assert "re-run train_model" in refused(tmp_path)


def test_a_taken_port_is_named(model: Path, refused: Refused) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"cannot bind 127.0.0.1:{port}" in refused(model, AIP_HTTP_PORT=port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_exits_0(start: Any, eventually: Eventually, number: signal.Signals) -> None:
    live = start()
    body = b'{"instances": [{"distance": 1}]}'
    with socket.create_connection(("127.0.0.1", live.port)) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body))
        # The half-sent request and the one that asks.
        eventually(lambda: live.metric("interlock_requests_in_flight") == 2)
        live.process.send_signal(number)
        eventually(lambda: is_closed(live.port))
        client.sendall(body)
        assert client.recv(10_000).startswith(b"HTTP/1.1 200")
    assert live.process.wait(timeout=20) == 0


def is_closed(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_model_is_fetched_from_the_object_store(model: Path, start: Any, refused: Refused) -> None:
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
        for file in model.iterdir():
            client.bucket("models").blob(f"flights/7/{file.name}").upload_from_filename(file)
        assert start("gs://models/flights/7/", STORAGE_EMULATOR_HOST=endpoint).probabilities([{"distance": 1}])
        err = refused("gs://models/flights/8", STORAGE_EMULATOR_HOST=endpoint)
        assert "gs://models/flights/8/manifest.json does not exist" in err
