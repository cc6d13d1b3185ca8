"""How the server behind a deployed model is started: which program stands in for its container image.

=============================================  ====================================================================
image                                          program
=============================================  ====================================================================
``interlock-*``                                ``interlock.serving`` in the environment of that image
``…/prediction/sklearn-cpu.1-5``, ``xgboost…``  :mod:`interlock.emulator.prebuilt`, only with ``--allow-pickle``
any other                                      a container, where a Docker daemon answers
=============================================  ====================================================================
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from interlock.emulator.call import duration_seconds
from interlock.emulator.models import ContainerSpec, ModelBody
from interlock.emulator.relay import HOST, StorageRelay
from interlock.emulator.rpc import Document, precondition
from interlock.errors import EnvironmentProblem
from interlock.local.containers import labels, require_daemon

_START_SECONDS = 120.0
_CONTAINER_PORT = 8080
# https://cloud.google.com/vertex-ai/docs/predictions/pre-built-containers
_PREBUILT = re.compile(r"[a-z-]+docker\.pkg\.dev/vertex-ai(?:-restricted)?/prediction/(sklearn|xgboost)-[cg]pu\.")


class ServerProgram(msgspec.Struct, frozen=True, kw_only=True):
    """How to start a server.

    With ``port`` 0 it prints ``{"ready": true, "port": N}`` on stdout once it listens, else it listens on ``port``.
    ``container``: what ``command`` runs by Docker as ``name``, labelled with ``marks``. ``ending`` is run once the
    process has ended: a Docker client that was killed leaves its container behind.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    health_route: str
    predict_route: str
    start_seconds: float
    port: int = 0
    container: ContainerSpec | None = None
    marks: Sequence[str] = ()
    name: str = ""
    ending: Sequence[str] = ()

    def anew(self) -> ServerProgram:
        """The program of the next process: a container gets a name and a port of its own each time."""
        if self.container is None:
            return self
        port = _free_port()
        name = f"interlock-{self.environment['AIP_DEPLOYED_MODEL_ID']}-{port}"
        return msgspec.structs.replace(
            self,
            port=port,
            name=name,
            command=docker_command(self.container, self.environment, port, name, self.marks),
            ending=("docker", "rm", "--force", "--volumes", name),
        )


class Programs(msgspec.Struct, frozen=True, kw_only=True):
    """Programs for container images. ``allow_pickle``: prebuilt images may run, which load pickles.

    ``storage``: where the storage emulator is. ``state``: the folder whose containers they are.
    """

    environments: Path
    state: Path
    storage: StorageRelay
    allow_pickle: bool

    async def program(self, entry: Document, body: ModelBody, container: ContainerSpec) -> ServerProgram:
        """The server of a deployed model; FAILED_PRECONDITION if nothing here can run its image."""
        environment = self._environment(entry, body, container)
        image = container.image_uri
        command: list[str] = []
        marks: list[str] = []
        if prebuilt := _PREBUILT.match(image):
            command = self._prebuilt(image, prebuilt[1])
        elif _is_ours(image):
            command = self._serving(image)
        else:
            await _require_docker(image)
            environment["AIP_HTTP_PORT"] = str(_CONTAINER_PORT)
            if self.storage.endpoint:
                environment["STORAGE_EMULATOR_HOST"] = await self.storage.from_containers()
            marks = labels(self.state)
        return ServerProgram(
            command=command,
            environment=environment,
            health_route=environment["AIP_HEALTH_ROUTE"],
            predict_route=environment["AIP_PREDICT_ROUTE"],
            start_seconds=duration_seconds(container.deployment_timeout, _START_SECONDS),
            container=None if command else container,
            marks=marks,
        ).anew()

    def _environment(self, entry: Document, body: ModelBody, container: ContainerSpec) -> dict[str, str]:
        environment = {variable.name: variable.value for variable in container.env}
        environment |= {
            "AIP_STORAGE_URI": body.artifact_uri,
            "AIP_HTTP_PORT": "0",
            "AIP_HEALTH_ROUTE": container.health_route or "/health",
            "AIP_PREDICT_ROUTE": container.predict_route or "/predict",
            "AIP_MODEL_VERSION": entry["modelVersionId"],
            "AIP_DEPLOYED_MODEL_ID": entry["id"],
        }
        if self.storage.endpoint:
            environment["STORAGE_EMULATOR_HOST"] = self.storage.endpoint
        return environment

    def _serving(self, image: str) -> list[str]:
        from interlock.local.environments import python_for

        return [str(python_for(image, self.environments)), "-m", "interlock.serving"]

    def _prebuilt(self, image: str, library: str) -> list[str]:
        if not self.allow_pickle:
            raise precondition(
                f"image {image} loads its model from a pickle, which can run anything: "
                "start the emulator with --allow-pickle if you trust the model, or export it to ONNX"
            )
        return [sys.executable, "-m", "interlock.emulator.prebuilt", library]


def docker_command(
    container: ContainerSpec, environment: Mapping[str, str], port: int, name: str, marks: Sequence[str] = ()
) -> list[str]:
    """``docker run`` with the container's own port published on loopback ``port``; variables go by name."""
    command = ["docker", "run", "--rm", "--init", "--name", name, *marks]
    command += ["--publish", f"127.0.0.1:{port}:{_CONTAINER_PORT}", "--add-host", f"{HOST}:host-gateway"]
    for variable in environment:
        command += ["--env", variable]
    entrypoint, *rest = container.command or [""]
    if entrypoint:
        command += ["--entrypoint", entrypoint]
    return [*command, container.image_uri, *rest, *container.args]


def _is_ours(image: str) -> bool:
    from interlock.local.environments import PREFIX, image_name

    return image_name(image).startswith(PREFIX)


async def _require_docker(image: str) -> None:
    try:
        await asyncio.to_thread(require_daemon)
    except EnvironmentProblem as error:
        raise precondition(
            f"image {image} is not one of Interlock's (interlock-*), so it needs a container: {error}"
        ) from error


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
