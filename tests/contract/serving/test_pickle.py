"""A pickled pipeline: only with the flag, the very bytes that were trained, and the libraries that wrote it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interlock.contracts import Manifest, read_contract, write_contract

Refused = Callable[..., str]
INSTANCE = {"distance": 0.5, "wind": None, "carrier": "UA", "origin": "JFK"}


@pytest.fixture(scope="module")
def copied(pickled: Path) -> Callable[[Path], Path]:
    def copy(folder: Path) -> Path:
        for file in pickled.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        return folder

    return copy


def test_it_needs_the_flag(pickled: Path, refused: Refused) -> None:
    assert "INTERLOCK_ALLOW_PICKLE=1" in refused(pickled)


def test_changed_bytes_are_not_loaded_even_with_the_flag(copied: Any, tmp_path: Path, refused: Refused) -> None:
    with (copied(tmp_path) / "model.joblib").open("ab") as file:
        file.write(b"\x00")
    assert "model.joblib has sha256" in refused(tmp_path, INTERLOCK_ALLOW_PICKLE="1")


def test_it_is_not_read_by_another_scikit_learn(copied: Any, tmp_path: Path, refused: Refused) -> None:
    manifest = read_contract(copied(tmp_path) / "manifest.json", Manifest)
    fields = {name: getattr(manifest, name) for name in manifest.__struct_fields__}
    fields["libraries"] = manifest.libraries | {"scikit-learn": "0.24.2"}
    write_contract(Manifest(**fields), tmp_path / "manifest.json")
    assert "written with scikit-learn 0.24.2" in refused(tmp_path, INTERLOCK_ALLOW_PICKLE="1")


def test_it_answers_as_the_exported_model_does(start: Any, pickled: Path, trained: Any, live: Any) -> None:
    server = start(pickled, INTERLOCK_ALLOW_PICKLE="1")
    assert server.ready["engine"] == "sklearn"
    rows = trained.rows.astype(object).where(trained.rows.notna(), None).to_dict("records")
    rows += [{"distance": 1.0}, {"distance": 1.0, "carrier": "never seen"}]
    answered = server.probabilities(rows)
    np.testing.assert_allclose(answered, live.probabilities(rows), rtol=0, atol=1e-6)
    assert 'engine="sklearn"' in server.request("GET", "/metrics")[2].decode()


def test_requests_that_arrive_together_are_one_call(start: Any, pickled: Path) -> None:
    server = start(pickled, INTERLOCK_ALLOW_PICKLE="1", INTERLOCK_MAX_WAITING="8")
    statuses = [int(head.split()[1]) for head in sent_ahead(server, 32)]
    # The first packet may hold fewer than all of them: what is sure is that the rest is refused, in order.
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= 8
    assert statuses.count(429) >= 1
    assert 'interlock_refusals_total{kind="busy"} 0' not in server.request("GET", "/metrics")[2].decode()
    server.is_well()


def sent_ahead(server: Any, count: int) -> list[str]:
    """Heads of the answers to ``count`` requests sent in one piece."""
    body = json.dumps({"instances": [INSTANCE]}).encode()
    request = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(request * count)
        answer = b""
        while answer.count(b"HTTP/1.1 ") < count:
            chunk = client.recv(65536)
            assert chunk, answer
            answer += chunk
    heads = [part.split("\r\n\r\n")[0] for part in answer.decode().split("HTTP/1.1 ")[1:]]
    assert all("retry-after: 1" in head for head in heads if head.startswith("429"))
    return ["HTTP/1.1 " + head for head in heads]
