"""Workers, drain, prediction log, structured logs."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

INSTANCE = {"distance": 0.5, "wind": None, "carrier": "UA"}
Eventually = Callable[[Callable[[], bool]], None]


def children(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in text.split()]


def test_workers_share_the_port_and_their_counts(start: Any, eventually: Eventually) -> None:
    server = start(INTERLOCK_WORKERS="2")
    assert server.ready["workers"] == 2
    assert len(children(server.process.pid)) == 2
    for _ in range(40):
        assert server.request("POST", "/predict", {"instances": [INSTANCE]})[0] == 200
    eventually(lambda: server.metric("interlock_instances_total") == 40)
    assert server.metric("interlock_workers") == 2


def test_a_dead_worker_is_started_again(start: Any, eventually: Eventually) -> None:
    server = start(INTERLOCK_WORKERS="2")
    first = children(server.process.pid)
    os.kill(first[0], signal.SIGKILL)
    eventually(lambda: len(children(server.process.pid)) == 2 and first[0] not in children(server.process.pid))
    server.is_well()
    server.process.terminate()
    assert server.process.wait(timeout=20) == 0
    assert "worker 0 ended with -9: started again" in server.process.stderr.read()


def test_workers_that_cannot_start_end_it_all(start: Any, tmp_path: Path) -> None:
    import subprocess
    import sys

    process = subprocess.run(
        [sys.executable, "-m", "interlock.serving"],
        env={
            "PATH": os.environ["PATH"],
            "AIP_STORAGE_URI": str(tmp_path),
            "AIP_HTTP_PORT": "0",
            "INTERLOCK_WORKERS": "2",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 2
    assert process.stdout == ""
    assert "no model.onnx or model.joblib" in process.stderr


def test_drain_ends_after_drain_seconds(start: Any, eventually: Eventually) -> None:
    server = start(INTERLOCK_DRAIN_SECONDS="1")
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{")  # and never the rest
        eventually(lambda: server.metric("interlock_requests_in_flight") == 2)
        server.process.terminate()
        assert server.process.wait(timeout=15) == 0
    events = [json.loads(line) for line in server.process.stderr.read().splitlines()]
    assert any(event["message"].startswith("draining") and event["severity"] == "INFO" for event in events)


def test_answers_are_logged_with_request_and_version(start: Any, tmp_path: Path, eventually: Eventually) -> None:
    folder = tmp_path / "log"
    server = start(INTERLOCK_PREDICTION_LOG=str(folder))
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    body = b'{"instances":\n\r[{"distance":1,"flight":"\xc3\xa9"}]}'
    answer = server.request("POST", "/predict", body, **{"x-request-id": 'q"1', "traceparent": trace})[2]
    server.request("POST", "/predict", b"{")  # refused: not a prediction
    server.request("POST", "/predict", {"instances": [INSTANCE] * 3})
    log = folder / "predictions-0.jsonl"
    eventually(lambda: log.exists() and log.read_bytes().count(b"\n") == 2)
    first, second = (json.loads(line) for line in log.read_text().splitlines())
    assert (first["id"], first["trace"], first["version"]) == ('q"1', trace, "7")
    assert first["request"] == {"instances": [{"distance": 1, "flight": "é"}]}
    assert first["response"] == answer
    assert 0 < first["seconds"] < 5
    assert len(second["response"]["predictions"]) == 3
    assert server.metric("interlock_prediction_log_records_total") == 2


def test_what_is_waiting_is_logged_before_the_end(start: Any, tmp_path: Path) -> None:
    server = start(INTERLOCK_PREDICTION_LOG=str(tmp_path))
    for _ in range(50):
        server.request("POST", "/predict", {"instances": [INSTANCE]})
    server.process.terminate()
    assert server.process.wait(timeout=20) == 0
    assert (tmp_path / "predictions-0.jsonl").read_bytes().count(b"\n") == 50


def test_a_log_that_cannot_be_written_is_said_at_start(model: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "file").write_text("")
    process = subprocess.run(
        [sys.executable, "-m", "interlock.serving"],
        env={
            "PATH": os.environ["PATH"],
            "AIP_STORAGE_URI": str(model),
            "AIP_HTTP_PORT": "0",
            "INTERLOCK_PREDICTION_LOG": str(tmp_path / "file"),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 1
    assert "set INTERLOCK_PREDICTION_LOG to a writable folder" in process.stderr
