"""``--runner docker``: the steps of a pipeline job, and model servers, in containers beside emulators on loopback."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from kfp import compiler, dsl

from interlock import __version__
from interlock.contracts import Place
from interlock.errors import EnvironmentProblem
from interlock.local import stack
from interlock.local.containers import STATE, state_id
from interlock.vertex import client

ML = f"interlock-ml:{__version__}"
OTHER = "somebody/server:1"


SERVER = """
import http.server, json, os
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
bucket, _, folder = os.environ["AIP_STORAGE_URI"].removeprefix("gs://").partition("/")
client = storage.Client(project="p", credentials=AnonymousCredentials())
weights = client.bucket(bucket).blob(folder + "/model.txt").download_as_text()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content = json.dumps({"predictions": [weights]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
"""


@dsl.component(base_image=ML, install_kfp_package=False)
def write(api: str, bucket: str, storage: str, report: dsl.Output[dsl.Artifact]) -> str:
    import os
    import urllib.request
    from pathlib import Path

    assert Path("/.dockerenv").exists(), "not in a container"
    assert os.environ["STORAGE_EMULATOR_HOST"] == storage
    urllib.request.urlopen(f"{storage}/storage/v1/b/{bucket}", timeout=20).close()
    urllib.request.urlopen(f"{api}/health", timeout=20).close()
    Path(report.path).write_text("written in a container")
    print("a line of the step")
    return f"{os.getuid()}:{os.getgid()}"


@dsl.component(base_image=ML, install_kfp_package=False)
def read(report: dsl.Input[dsl.Artifact]) -> str:
    from pathlib import Path

    return Path(report.path).read_text()


@dsl.component(base_image=ML, install_kfp_package=False)
def fail() -> None:
    raise ValueError("this step is wrong")


@dsl.component(base_image=ML, install_kfp_package=False)
def sleep() -> None:
    import time

    time.sleep(300)


@dsl.component(base_image="interlock-nowhere:9", install_kfp_package=False)
def nowhere() -> None:
    pass


@dsl.pipeline(name="passing-on")
def passing_on(api: str, bucket: str, storage: str) -> None:
    read(report=write(api=api, bucket=bucket, storage=storage).outputs["report"])


@dsl.pipeline(name="failing")
def failing() -> None:
    fail()


@dsl.pipeline(name="sleeping")
def sleeping() -> None:
    sleep()


@dsl.pipeline(name="missing")
def missing() -> None:
    sleep()
    nowhere()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("docker-runner")
    stack.up(folder, runner="docker")
    yield folder
    stack.down(folder)


@pytest.fixture
def place(state: Path) -> Place:
    return stack.up(state)


@pytest.fixture
def submit(place: Place, tmp_path: Path) -> Callable[..., Any]:
    from google.cloud.aiplatform import pipeline_jobs

    pipeline_jobs._JOB_WAIT_TIME = 0.2

    def run(pipeline: Any, **parameters: str) -> Any:
        template = str(tmp_path / "pipeline.yaml")
        compiler.Compiler().compile(pipeline, template)
        job = client.sdk(place).PipelineJob(
            display_name=pipeline.name,
            template_path=template,
            job_id=f"{pipeline.name}-{uuid.uuid4().hex[:8]}",
            pipeline_root=f"gs://{place.bucket}/root",
            parameter_values=parameters,
            enable_caching=False,
        )
        job.submit()
        return job

    return run


@pytest.fixture
def containers(daemon: Any, state: Path) -> Callable[[], list[Any]]:
    """The containers of the state folder, whatever their state."""
    label = f"{STATE}={state_id(state)}"
    return lambda: daemon.containers.list(all=True, filters={"label": label}, ignore_removed=True)


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 60
    while not (value := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return value


def running(containers: Callable[[], list[Any]]) -> list[Any]:
    return [container for container in containers() if container.status == "running"]


def test_steps_are_containers_that_reach_the_emulators(submit: Any, place: Place, containers: Any) -> None:
    job = submit(passing_on, api=place.api_endpoint, bucket=place.bucket, storage=place.storage_endpoint)
    job.wait()
    details = {detail.task_name: detail for detail in job.task_details}
    assert details["write"].execution.metadata["output:Output"] == f"{os.getuid()}:{os.getgid()}"
    assert details["read"].execution.metadata["output:Output"] == "written in a container"
    assert "a line of the step" in Path(details["write"].execution.metadata["log"]).read_text()
    assert not containers(), "a step leaves its container"


def test_a_failed_step_says_why(submit: Any) -> None:
    job = submit(failing)
    with pytest.raises(RuntimeError, match="ValueError: this step is wrong"):
        job.wait()


def test_an_image_that_is_not_there_is_named_before_anything_starts(submit: Any) -> None:
    job = submit(missing)
    with pytest.raises(RuntimeError, match=r"image interlock-nowhere:9 is not on this machine"):
        job.wait()
    assert not job.task_details


def test_cancel_ends_the_containers(submit: Any, containers: Any) -> None:
    job = submit(sleeping)
    until(lambda: running(containers), "the step does not start")
    job.cancel()
    until(lambda: job.state.name == "PIPELINE_STATE_CANCELLED", "not cancelled")
    assert not containers(), "cancelled, and a container is left"


def test_a_killed_job_leaves_no_container(submit: Any, containers: Any) -> None:
    job = submit(sleeping)
    until(lambda: running(containers), "the step does not start")
    [pid] = [entry.name for entry in Path("/proc").glob("[0-9]*") if f"/{job.name}/job.json" in command_line(entry)]
    os.kill(int(pid), signal.SIGKILL)
    until(lambda: job.state.name == "PIPELINE_STATE_FAILED", "not failed")
    assert not containers()


def command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


def test_another_runner_than_the_running_one_is_refused(state: Path, place: Place) -> None:
    with pytest.raises(EnvironmentProblem, match="--runner docker: `interlock down` first"):
        stack.up(state, runner="process")
    assert stack.up(state, runner="docker") == place


def test_no_daemon_is_said_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "interlock.emulator", "--state", str(tmp_path), "--project", "p"]
    nowhere = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/nowhere.sock", "INTERLOCK_RUNNER": "docker"}
    done = subprocess.run(command, env=nowhere, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "interlock.emulator: no Docker daemon answers; start one"


@pytest.fixture
def endpoint(place: Place, daemon: Any) -> Iterator[Any]:
    """An endpoint with a model whose image is not Interlock's; its server answers with its model file."""
    sdk = client.sdk(place)
    daemon.images.get(ML).tag(OTHER)
    client.bucket(place).blob("theirs/model.txt").upload_from_string("weights")
    model = sdk.Model.upload(
        display_name="theirs",
        artifact_uri=f"gs://{place.bucket}/theirs",
        serving_container_image_uri=OTHER,
        serving_container_command=["python3", "-c", SERVER],
        serving_container_predict_route="/predict",
        serving_container_health_route="/health",
    )
    endpoint = sdk.Endpoint.create(display_name="theirs")
    endpoint.deploy(model, machine_type="n1-standard-2", min_replica_count=1)
    yield endpoint
    daemon.images.remove(OTHER, force=True)


def kill_emulator(state: Path) -> None:
    process = json.loads((state / "emulator.process.json").read_bytes())
    os.kill(process["pid"], signal.SIGKILL)
    until(lambda: stack.running_place(state) is None, "the emulator lives")


# The last tests: they kill the emulator of the module.
def test_a_server_in_a_container_reads_storage_on_loopback_and_outlives_no_emulator(
    endpoint: Any, place: Place, submit: Any, state: Path, containers: Any
) -> None:
    assert endpoint.predict([{}]).predictions == ["weights"]
    [server] = containers()
    assert {port["HostIp"] for ports in server.ports.values() for port in ports or []} == {"127.0.0.1"}
    [entry] = json.loads(urllib.request.urlopen(f"{place.api_endpoint}/health", timeout=20).read())["servers"]
    assert entry["memoryMb"] > 20, "of the server, not of the client of Docker"
    submit(sleeping)
    until(lambda: len(running(containers)) == 2, "the step does not start")

    kill_emulator(state)
    until(lambda: containers() == [server], "a step outlives its job")

    place = stack.up(state, runner="docker")
    again = client.sdk(place).Endpoint(endpoint.resource_name)
    until(lambda: server.id not in {container.id for container in containers()}, "the old server is still there")
    until(lambda: answer(again) == ["weights"], "the model does not come back")

    kill_emulator(state)
    assert len(containers()) == 1
    assert "containers" in stack.down(state)
    assert not containers()
    assert not (state / "containers").exists()


def answer(endpoint: Any) -> list[Any]:
    try:
        return list(endpoint.predict([{}]).predictions)
    except exceptions.GoogleAPIError:
        return []
