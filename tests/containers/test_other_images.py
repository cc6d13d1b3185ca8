"""Images that are not Interlock's: the emulator, a process here, runs them by Docker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.cloud import aiplatform_v1 as v1

from interlock import __version__
from interlock.config import Serving
from interlock.contracts import Place
from interlock.settings import emulator_headers
from interlock.vertex.client import parent, service
from interlock.vertex.endpoint import VertexEndpoint
from interlock.vertex.registry import VertexModelRegistry

IMAGE = "somebody/model:1"
SERVER = """
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({})
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.answer({"predictions": [{"host": os.environ["HOSTNAME"]}]})
    def answer(self, value):
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def place(tmp_path: Path, daemon: Any) -> Iterator[Place]:
    """An emulator of its own."""
    daemon.images.get(f"interlock-serve:{__version__}").tag(IMAGE)
    command = [sys.executable, "-m", "interlock.emulator", "--state", str(tmp_path), "--project", "demo-project"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--health-seconds", "0.5"], stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    try:
        url = json.loads(process.stdout.readline())["url"]
        warehouse = f"sqlite:///{tmp_path}/warehouse.db"
        yield Place(project="demo-project", location="us-central1", bucket="b", warehouse=warehouse, api_endpoint=url)
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()
        daemon.images.remove(IMAGE)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def test_two_replicas_are_two_containers_and_none_is_left(place: Place, daemon: Any) -> None:
    server = v1.ModelContainerSpec(
        image_uri=IMAGE, command=["python3", "-c", SERVER], predict_route="/predict", health_route="/health"
    )
    model = v1.Model(display_name="theirs", container_spec=server)
    request = v1.UploadModelRequest(parent=parent(place), model=model, model_id="theirs")
    service(place, "Model").upload_model(request).result(timeout=60)
    version = VertexModelRegistry(place, "theirs").find("1")
    assert version is not None
    endpoint = VertexEndpoint(place, "theirs")
    endpoint.ensure()
    deployed = endpoint.deploy(version, Serving(replicas=2), percent=100)

    def running() -> set[str]:
        return {container.short_id for container in daemon.containers.list(filters={"name": f"interlock-{deployed}-"})}

    def answering() -> set[str]:
        return {endpoint.predict([{}])[0]["host"] for _ in range(10)}

    first = running()
    assert len(first) == 2
    assert answering() == first

    # A client of Docker that is killed leaves its container running; the replica must come back all the same.
    health = urllib.request.Request(f"{place.api_endpoint}/health", headers=emulator_headers())
    with urllib.request.urlopen(health, timeout=20) as answer:
        servers = json.load(answer)["servers"]
    os.kill(next(process["pid"] for process in _processes(servers)), signal.SIGKILL)
    until(lambda: len(running()) == 2 and running() != first, "the container was not replaced")
    until(lambda: answering() == running(), "the new container does not answer")

    endpoint.delete()
    until(lambda: not running(), "a container is left")


def _processes(value: Any) -> Iterator[dict[str, Any]]:
    """The replicas in what /health says of the servers."""
    if isinstance(value, dict) and "pid" in value:
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _processes(each)
