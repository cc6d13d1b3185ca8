"""The serve image on a read-only file system, with no rights: answers as training computed them, ends when told."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

import pytest

from interlock import __version__
from interlock.rollout.deploy import read_probe


@pytest.fixture(scope="module")
def server(serve: Any, candidate: Path) -> Any:
    """A server of the candidate that the training pipeline made. It is healthy: `serve` has waited for that."""
    return serve(candidate)


def ask(container: Any, body: object) -> tuple[int, dict[str, str], Any]:
    container.reload()
    port = int(container.attrs["NetworkSettings"]["Ports"]["8080/tcp"][0]["HostPort"])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/predict", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), json.loads(answer.read())
    finally:
        connection.close()


def test_answers_what_training_computed(server: Any, candidate: Path) -> None:
    probe = read_probe(candidate / "probe.json")
    assert len(probe.instances) > 10
    status, _, answer = ask(server, {"instances": probe.instances})
    assert status == 200, answer
    answered = [prediction["probability"] for prediction in answer["predictions"]]
    assert answered == pytest.approx(probe.probabilities, abs=1e-6)


def test_answers_what_the_same_server_answers_outside_of_a_container(server: Any, candidate: Path) -> None:
    from interlock.serving.offline import decide

    instances = read_probe(candidate / "probe.json").instances
    _, _, answer = ask(server, {"instances": instances})
    assert [prediction["label"] for prediction in answer["predictions"]] == decide(candidate, instances)


def test_can_write_nothing_but_temporary_files(server: Any) -> None:
    for folder in ("/opt/interlock", "/home/interlock", "/usr/bin", "/model"):
        code, said = server.exec_run(["touch", f"{folder}/x"])
        assert code != 0, folder
        assert b"Read-only file system" in said or b"Permission denied" in said
    assert server.exec_run(["touch", "/tmp/x"])[0] == 0


def test_a_bad_request_is_refused_in_words_and_changes_nothing(server: Any) -> None:
    status, _, answer = ask(server, {"instances": "all of them"})
    assert status == 400
    assert answer["error"]
    server.reload()
    assert server.attrs["State"]["Health"]["Status"] == "healthy"


def test_drains_and_ends_when_told(serve: Any, candidate: Path) -> None:
    server = serve(candidate)
    server.stop(timeout=20)
    server.reload()
    assert server.attrs["State"]["ExitCode"] == 0, server.logs().decode()


def test_a_model_that_was_changed_is_not_served(daemon: Any, candidate: Path, tmp_path: Path) -> None:
    import docker

    for file in candidate.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.onnx").write_bytes((candidate / "model.onnx").read_bytes() + b"\0")
    tmp_path.chmod(0o755)
    with pytest.raises(docker.errors.ContainerError, match="sha256"):
        daemon.containers.run(
            f"interlock-serve:{__version__}",
            environment={"AIP_STORAGE_URI": "/model"},
            volumes={str(tmp_path): {"bind": "/model", "mode": "ro"}},
            remove=True,
        )
