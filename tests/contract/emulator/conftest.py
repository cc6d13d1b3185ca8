"""One emulator and one storage emulator per session, driven by the real SDK over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock.contracts import Place

PROJECT = "demo-project"
LOCATION = "us-central1"
BUCKET = "models"
IMAGE = "registry.example/interlock-ml:v1"
TINY_SERVER = Path(__file__).with_name("tiny_server.py")


def _wait_until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The first true value of ``condition``; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail(f"not within {seconds} s: {condition}")


class EmulatorProcess:
    """An emulator as a user starts it."""

    minutely = ""

    def __init__(
        self, state: Path, environments: Path, storage_endpoint: str = "", *options: str, **variables: str
    ) -> None:
        self.state = state
        self.log = state.with_name(f"{state.name}.log")
        self._command = [
            *(sys.executable, "-m", "interlock.emulator", "--state", str(state), "--project", PROJECT),
            *("--location", LOCATION, "--storage-endpoint", storage_endpoint, *options),
        ]
        self._environment = {**os.environ, "INTERLOCK_ENVIRONMENTS": str(environments), "INTERLOCK_WARM": "0"}
        # A daemon of this machine would be asked for images that do not exist; tests/containers has its own.
        self._environment["DOCKER_HOST"] = f"unix://{state}/no-docker.sock"
        self._environment |= variables
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=log, env=self._environment)
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.ready = json.loads(line)
        self.url = self.ready["url"]

    def run_again(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Another emulator with the same arguments, and more."""
        environment = {**self._environment, **variables}
        command = [*self._command, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, env=environment)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(timeout=30)
        self.process.stdout.close()
        return code

    def health(self) -> Any:
        with urllib.request.urlopen(f"{self.url}/health", timeout=20) as response:
            return json.loads(response.read())

    def request(
        self, method: str, path: str, body: Any = None, version: str = "v1", headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """A bare HTTP call below the location: status and decoded body."""
        url = f"{self.url}/{version}/projects/{PROJECT}/locations/{LOCATION}/{path}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def finished(self, answer: tuple[int, Any]) -> Any:
        """The operation in ``answer`` once it is done."""
        status, operation = answer
        assert status == 200, operation
        path = operation["name"].partition(f"/locations/{LOCATION}/")[2]
        return self.request("POST", f"{path}:wait", {"timeout": "60s"})[1]

    def deployed(self, *, replicas: int = 1, logging: dict[str, Any] | None = None, **variables: str) -> str:
        """A new endpoint with one model at 100 percent; its id."""
        model = {
            "displayName": "tiny",
            "containerSpec": {
                "imageUri": IMAGE,
                "env": [{"name": name, "value": value} for name, value in variables.items()],
            },
        }
        uploaded = self.finished(self.request("POST", "models:upload", {"model": model}))
        endpoint = {"displayName": "tiny", "predictRequestResponseLoggingConfig": logging}
        created = self.finished(self.request("POST", "endpoints", endpoint))
        identifier = created["response"]["name"].rpartition("/")[2]
        deployed = self.deploy(identifier, uploaded["response"]["model"], {"0": 100}, replicas)
        assert "error" not in deployed, deployed
        return identifier

    def deploy(self, endpoint: str, model: str, split: dict[str, int], replicas: int = 1) -> Any:
        """Deploy over bare HTTP; the finished operation."""
        entry = {"model": model, "dedicatedResources": {"minReplicaCount": replicas}}
        body = {"deployedModel": entry, "trafficSplit": split}
        return self.finished(self.request("POST", f"endpoints/{endpoint}:deployModel", body))


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., Any]:
    """Waits on a condition with a deadline."""
    return _wait_until


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Environments root whose ``ml`` serves with the tiny server and runs steps with this interpreter."""
    root = tmp_path_factory.mktemp("environments")
    python = root / "ml" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f'#!/bin/sh\ncase "$*" in\n*interlock.serving*) exec {sys.executable} {TINY_SERVER};;\n'
        f'*) exec {sys.executable} "$@";;\nesac\n'
    )
    python.chmod(0o755)
    python.with_name("python3").symlink_to(python)
    return root


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a storage emulator with one bucket."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    program = Path(sys.executable).with_name("gcp-storage-emulator")
    folder = tmp_path_factory.mktemp("storage")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(str(program), "--data-dir", str(folder / "data"), "start"),
                *("--host=127.0.0.1", f"--port={port}", f"--default-bucket={BUCKET}"),
            ],
            stdout=log,
            stderr=log,
        )
    _wait_until(lambda: _listens(port))
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=20)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory, environments: Path, storage: str) -> Iterator[EmulatorProcess]:
    """The emulator of the session."""
    state = tmp_path_factory.mktemp("emulator") / "state"
    process = EmulatorProcess(state, environments, storage, "--health-seconds", "1", "--allow-pickle")
    status, schedule = process.request("POST", "schedules", _minutely())
    assert status == 200, schedule
    process.minutely = schedule["name"].partition(f"/locations/{LOCATION}/")[2]
    yield process
    process.stop()


def _minutely() -> dict[str, Any]:
    """A schedule that fires at the next full minute, once."""
    command = ["python3", "-c", "print('fired')"]
    spec = {
        "pipelineInfo": {"name": "minutely"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "components": {"comp-tick": {"executorLabel": "exec-tick"}},
        "deploymentSpec": {"executors": {"exec-tick": {"container": {"image": IMAGE, "command": command}}}},
        "root": {"dag": {"tasks": {"tick": {"componentRef": {"name": "comp-tick"}, "taskInfo": {"name": "tick"}}}}},
    }
    return {
        "displayName": "minutely",
        "cron": "* * * * *",
        "maxRunCount": "1",
        "maxConcurrentRunCount": "1",
        "createPipelineJobRequest": {"pipelineJob": {"displayName": "tick", "pipelineSpec": spec}},
    }


@pytest.fixture
def new_emulator(tmp_path: Path, environments: Path) -> Iterator[Callable[..., EmulatorProcess]]:
    """Starts emulators of their own for tests that kill them."""
    started: list[EmulatorProcess] = []

    def start(*options: str, **variables: str) -> EmulatorProcess:
        started.append(EmulatorProcess(tmp_path / f"state{len(started)}", environments, "", *options, **variables))
        return started[-1]

    yield start
    for process in started:
        if process.process.poll() is None:
            process.stop()


@pytest.fixture(scope="session")
def place(emulator: EmulatorProcess, storage: str) -> Place:
    return Place(
        project=PROJECT,
        location=LOCATION,
        bucket=BUCKET,
        warehouse=f"sqlite:///{emulator.state}/warehouse.db",
        api_endpoint=emulator.url,
        storage_endpoint=storage,
    )


@pytest.fixture(scope="session")
def sdk(place: Place) -> Any:
    """``google.cloud.aiplatform``, pointed at the emulator."""
    from google.cloud.aiplatform import pipeline_jobs

    from interlock.vertex import client

    pipeline_jobs._JOB_WAIT_TIME = 0.2  # its only setting for how often a waiting client asks
    return client.sdk(place)


@pytest.fixture(scope="session")
def service(place: Place) -> Callable[[str], Any]:
    """Generated clients by service name."""
    from interlock.vertex import client

    return lambda name: client.service(place, name)


@pytest.fixture
def upload(sdk: Any) -> Callable[..., Any]:
    """Uploads a model through the SDK; a new name for each test."""
    name = f"model-{uuid.uuid4().hex[:8]}"

    def upload_model(**arguments: Any) -> Any:
        defaults = {
            "display_name": name,
            "artifact_uri": f"gs://{BUCKET}/{name}",
            "serving_container_image_uri": IMAGE,
            "serving_container_predict_route": "/predict",
            "serving_container_health_route": "/health",
        }
        return sdk.Model.upload(**{**defaults, **arguments})

    return upload_model
