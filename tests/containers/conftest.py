"""Real containers of the images that `make images` built, and a small topology as on the kind cluster.

::

    host ──published on loopback──┐
                                  v
      one Docker network:   emulator ──> model servers, processes in its container
                               │  └────> postgres    serving log, outcomes, journal
                               └───────> storage     model files, artifacts
      steps of a pipeline (ml, data), each a container ──> emulator, storage, postgres

`make test-containers` sets INTERLOCK_CONTAINERS: `if there` skips where no Docker daemon answers, `required` fails
there. Without it everything here is skipped.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from interlock import __version__
from interlock.contracts import Place
from interlock.submission import read_use_case, training_parameters

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TARGETS = ("serve", "ml", "data", "emulator")
POSTGRES = os.environ.get("POSTGRES_IMAGE") or "postgres:17"
START_SECONDS, PIPELINE_SECONDS = 60.0, 600.0
MAXIMUM = {"mem_limit": "6g", "pids_limit": 2000}


def image(target: str) -> str:
    """``serve`` -> ``interlock-serve:0.1.0``."""
    return f"interlock-{target}:{__version__}"


def read_only() -> dict[str, Any]:
    """Arguments of a container that may change nothing but /tmp, and has no rights."""
    tmp = {"/tmp": "size=500m"}
    return {"read_only": True, "tmpfs": tmp, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mine = [item for item in items if HERE in item.path.parents]
    mode = os.environ.get("INTERLOCK_CONTAINERS", "")
    for item in mine:
        item.add_marker(pytest.mark.timeout(900))  # whole pipelines run in fixtures
    if not mine or mode == "required":
        return
    reason = "container tests take minutes: `make test-containers` runs them" if not mode else _missing()
    for item in mine if reason else []:
        item.add_marker(pytest.mark.skip(reason=reason))


def _missing() -> str:
    """Why nothing here can run; '' if all can."""
    import docker

    try:
        daemon = docker.from_env()
        for name in [*map(image, TARGETS), POSTGRES]:
            daemon.images.get(name)
    except docker.errors.ImageNotFound as error:
        return f"{error.explanation}: `make images` builds Interlock's; `docker pull {POSTGRES}`, or POSTGRES_IMAGE"
    except docker.errors.DockerException as error:
        return f"no Docker daemon answers: {error}"
    return ""


@pytest.fixture(scope="session")
def daemon() -> Iterator[Any]:
    """The Docker client."""
    import docker

    client = docker.from_env()
    yield client
    client.close()


Run = Callable[..., Any]


@pytest.fixture(scope="session")
def start(daemon: Any) -> Iterator[Run]:
    """Start containers; they are removed, with their volumes, when the session ends."""
    with contextlib.ExitStack() as containers:

        def run(name: str, **about: Any) -> Any:
            container = daemon.containers.run(name, detach=True, **MAXIMUM, **about)
            containers.callback(_remove, container)
            return container

        yield run


def _remove(container: Any) -> None:
    import docker

    with contextlib.suppress(docker.errors.NotFound):
        container.remove(force=True, v=True)


@pytest.fixture(scope="session")
def serve(start: Run) -> Callable[..., Any]:
    """A healthy model server: a container of the serve image on a model folder, published on loopback."""

    def run(folder: Path, **variables: str) -> Any:
        container = start(
            image("serve"),
            environment={"AIP_STORAGE_URI": "/model", "AIP_MODEL_VERSION": "7", **variables},
            volumes={str(folder): {"bind": "/model", "mode": "ro"}},
            ports={"8080/tcp": ("127.0.0.1", None)},
            **read_only(),
        )
        until_healthy(container)
        return container

    return run


@pytest.fixture(scope="session")
def output(daemon: Any) -> Callable[..., str]:
    """What a command prints in a fresh container of an image."""

    def run(target: str, *command: str, **about: Any) -> str:
        printed = daemon.containers.run(
            image(target), entrypoint=list(command[:1]), command=list(command[1:]), remove=True, **about
        )
        return str(printed.decode()).strip()

    return run


def until_healthy(container: Any) -> None:
    """Wait for the HEALTHCHECK of the container's image."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        container.reload()
        state = container.attrs["State"]
        if not state["Running"]:
            break
        if state["Health"]["Status"] == "healthy":
            return
        time.sleep(0.2)
    pytest.fail(f"{container.name} is not healthy: {state}; its log: {container.logs().decode()[-2000:]}")


def until_printed(container: Any, text: str) -> None:
    """Wait for a word in the container's log."""
    deadline = time.monotonic() + START_SECONDS
    while text not in (log := container.logs().decode()):
        container.reload()
        if time.monotonic() > deadline or container.status == "exited":
            pytest.fail(f"{container.name} has not said {text!r}: {log[-2000:]}")
        time.sleep(0.1)


def published(container: Any, port: int) -> int:
    """The loopback port on which the container's ``port`` is published."""
    container.reload()
    return int(container.attrs["NetworkSettings"]["Ports"][f"{port}/tcp"][0]["HostPort"])


class Topology(msgspec.Struct, frozen=True):
    """``inside`` is the place as containers on ``network`` see it, ``outside`` the same through published ports.

    ``secrets``: the variables that whoever talks to it needs.
    """

    network: str
    inside: Place
    outside: Place
    secrets: dict[str, str]
    emulator: Any


@pytest.fixture(scope="session")
def topology(daemon: Any, start: Run) -> Iterator[Topology]:
    """PostgreSQL, a storage emulator and the Vertex AI emulator, each in a container."""
    network = daemon.networks.create(f"interlock-{secrets.token_hex(4)}", driver="bridge")
    token, password = secrets.token_hex(16), secrets.token_hex(16)

    def joined(alias: str, port: int) -> dict[str, Any]:
        aliases = {network.name: daemon.api.create_endpoint_config(aliases=[alias])}
        return {"network": network.name, "networking_config": aliases, "ports": {f"{port}/tcp": ("127.0.0.1", None)}}

    try:
        postgres = start(POSTGRES, environment={"POSTGRES_PASSWORD": password}, **joined("postgres", 5432))
        storage = start(
            image("emulator"),
            entrypoint=["python3", "-m", "gcp_storage_emulator", "start"],
            command=["--host", "0.0.0.0", "--port", "9023", "--default-bucket", "interlock", "--in-memory"],
            healthcheck={"test": ["NONE"]},
            **joined("storage", 9023),
        )
        until_printed(postgres, "ready to accept connections")
        inside = Place(
            project="demo-project",
            location="us-central1",
            bucket="interlock",
            warehouse="postgresql+psycopg://postgres@postgres/postgres",
            api_endpoint="http://emulator:8080",
            storage_endpoint="http://storage:9023",
        )
        emulator = start(
            image("emulator"),
            command=[
                *("--project", inside.project, "--location", inside.location),
                *("--warehouse", inside.warehouse, "--storage-endpoint", inside.storage_endpoint),
            ],
            environment={"INTERLOCK_TOKEN": token, "PGPASSWORD": password},
            **read_only(),
            **joined("emulator", 8080),
        )
        until_healthy(emulator)
        outside = msgspec.structs.replace(
            inside,
            warehouse=f"postgresql+psycopg://postgres@127.0.0.1:{published(postgres, 5432)}/postgres",
            api_endpoint=f"http://127.0.0.1:{published(emulator, 8080)}",
            storage_endpoint=f"http://127.0.0.1:{published(storage, 9023)}",
        )
        variables = {"INTERLOCK_TOKEN": token, "PGPASSWORD": password}
        with pytest.MonkeyPatch.context() as patch:  # this process talks to both, too
            for name, value in variables.items():
                patch.setenv(name, value)
            yield Topology(network.name, inside, outside, variables, emulator)
    finally:
        for container in daemon.containers.list(all=True, filters={"network": network.name}):
            _remove(container)
        network.remove()


class Pipelines:
    """Runs pipelines as containers on the topology's network, by :mod:`steps`, as nobody in particular."""

    def __init__(self, topology: Topology, folder: Path) -> None:
        self._topology, self._folder = topology, folder
        self.user = "10001:10001" if os.getuid() == 0 else f"{os.getuid()}:{os.getgid()}"

    def run(self, pipeline: str, name: str, parameters: dict[str, Any]) -> Path:
        """Run to the end; the folder of the tasks' outputs. Fails with the end of the log."""
        root = self._folder / name / "root"
        root.mkdir(parents=True)
        if os.getuid() == 0:
            os.chown(root, 10001, 10001)
        job = {
            "pipeline": pipeline,
            "name": name,
            "parameters": parameters,
            "root": str(root),
            "network": self._topology.network,
            "user": self.user,
            "variables": self._topology.secrets,
        }
        (root.parent / "job.json").write_bytes(msgspec.json.encode(job))
        with (root.parent / "log").open("wb") as log:
            command = [sys.executable, str(HERE / "steps.py"), str(root.parent / "job.json")]
            code = subprocess.run(command, stdout=log, stderr=log, timeout=PIPELINE_SECONDS, check=False).returncode
        assert code == 0, (root.parent / "log").read_text()[-5000:]
        return root


@pytest.fixture(scope="session")
def pipelines(topology: Topology, tmp_path_factory: pytest.TempPathFactory) -> Pipelines:
    """See :class:`Pipelines`."""
    return Pipelines(topology, tmp_path_factory.mktemp("pipelines"))


@pytest.fixture(scope="session")
def use_case() -> Any:
    """The example with a canary that ends after a few hundred requests; everything before it as it stands there."""
    case = read_use_case(ROOT / "examples" / "flights" / "config.yaml")
    raw = yaml.safe_load(case.config)
    step = {"weight": 50, "margin": 0.9, "minimum_requests": 300, "deadline_seconds": 150}
    raw["strategy"] |= {"alpha": 0.05, "check_seconds": 0.3, "steps": [step | {"weight": 30}, step]}
    raw["post_deploy"] = {"minimum_requests": 300, "deadline_seconds": 60, "margin": 0.9}
    return msgspec.structs.replace(case, config=yaml.safe_dump(raw, sort_keys=False))


@pytest.fixture(scope="session")
def train(pipelines: Pipelines, topology: Topology, use_case: Any) -> Callable[[str, str], Path]:
    """Train on the rows before a day and register; the candidate's folder."""

    def run(name: str, end: str) -> Path:
        parameters = training_parameters(topology.inside, use_case, start="2013-01-01", end=end)
        root = pipelines.run("training", name, parameters)
        return next(root.glob("*/train-model/candidate"))

    return run


@pytest.fixture(scope="session")
def candidate(train: Callable[[str, str], Path]) -> Path:
    """The first version's folder, made by the training pipeline in containers."""
    return train("first", "2013-07-01")
