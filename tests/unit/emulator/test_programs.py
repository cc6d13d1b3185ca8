"""Which program stands in for which image."""

import asyncio
import sys

import pytest

from interlock.emulator.models import ContainerSpec, EnvironmentVariable, ModelBody
from interlock.emulator.programs import Programs, docker_command
from interlock.emulator.relay import StorageRelay
from interlock.emulator.rpc import RpcError
from interlock.local.containers import STATE, state_id

ENTRY = {"id": "7", "modelVersionId": "3"}
PREBUILT = "europe-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest"


def program(tmp_path, image, *, allow_pickle=False, **fields):
    container = ContainerSpec(image_uri=image, **fields)
    body = ModelBody(artifact_uri="gs://b/m", container_spec=container)

    async def find():
        storage = StorageRelay("http://127.0.0.1:1")
        programs = Programs(environments=tmp_path, state=tmp_path, storage=storage, allow_pickle=allow_pickle)
        return await programs.program(ENTRY, body, container)

    return asyncio.run(find())


@pytest.fixture
def ml(tmp_path):
    python = tmp_path / "ml" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    return python


def test_our_image_runs_our_server_in_its_environment(tmp_path, ml):
    env = [EnvironmentVariable(name="A", value="1"), EnvironmentVariable(name="AIP_MODEL_VERSION", value="fake")]
    found = program(tmp_path, "r.example/interlock-serve@sha256:0", env=env, deployment_timeout="5s")
    assert found.command == [str(ml), "-m", "interlock.serving"]
    assert found.start_seconds == 5.0
    assert found.environment["A"] == "1"
    assert found.environment["AIP_MODEL_VERSION"] == "3"
    assert found.environment["AIP_STORAGE_URI"] == "gs://b/m"
    assert found.environment["STORAGE_EMULATOR_HOST"] == "http://127.0.0.1:1"


def test_prebuilt_image_needs_the_pickle_flag(tmp_path):
    with pytest.raises(RpcError, match="--allow-pickle"):
        program(tmp_path, PREBUILT)
    found = program(tmp_path, PREBUILT, allow_pickle=True)
    assert found.command == [sys.executable, "-m", "interlock.emulator.prebuilt", "sklearn"]


@pytest.mark.parametrize("docker", ["none", "no daemon"])
def test_other_images_say_that_docker_is_missing(tmp_path, monkeypatch, docker):
    folder = tmp_path / "bin"
    folder.mkdir()
    if docker == "no daemon":
        (folder / "docker").write_text("#!/bin/sh\nexit 1\n")
        (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(RpcError, match=r"docker is not installed|no Docker daemon answers") as caught:
        program(tmp_path, "team/model:1")
    assert caught.value.status == "FAILED_PRECONDITION"
    assert "team/model:1" in caught.value.message


def test_other_images_run_by_docker_on_a_loopback_port(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text("#!/bin/sh\nexit 0\n")
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    found = program(tmp_path, "team/model:1", command=["/serve", "--fast"], args=["x"])
    assert found.port > 0
    assert found.command[:2] == ["docker", "run"]
    assert found.command[found.command.index("--publish") + 1] == f"127.0.0.1:{found.port}:8080"
    assert found.command[-3:] == ["team/model:1", "--fast", "x"]
    assert found.environment["AIP_HTTP_PORT"] == "8080"
    assert found.command[found.command.index("--label") + 1] == f"{STATE}={state_id(tmp_path)}"
    # This Docker has no bridge with an address of this machine, as where it runs in a virtual one.
    assert found.environment["STORAGE_EMULATOR_HOST"] == "http://host.docker.internal:1"


def test_variables_reach_the_container_by_name_only():
    container = ContainerSpec(image_uri="i")
    command = docker_command(container, {"SECRET": "value"}, 1234, "7")
    assert command[-1] == "i"
    assert "SECRET" in command
    assert not any("value" in part for part in command)
    assert "--entrypoint" not in command
