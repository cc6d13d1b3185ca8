"""The pods of deploy/kind and deploy/kserve as containers: their manifests' images, commands, users, probes and names.

One Docker network stands in for the cluster's, each service answers under the name it has there, and place.json of
deploy/kind is taken as it is, by a step that gets the variables which the Kubernetes templates give it.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from interlock.local.kubernetes import read_settings

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy" / "kind" / "base"
PLACE = ROOT / "deploy" / "kind" / "place.json"
SETTINGS = ROOT / "deploy" / "templates" / "kubernetes.yaml"
DOMAIN = "interlock.svc.cluster.local"
POSTGRES = os.environ.get("POSTGRES_IMAGE") or "postgres:17"
READY_SECONDS = 60.0

STEP = """
import json, os, sys
from interlock.contracts import parse_place
from interlock.vertex.client import bucket, parent, service
from interlock.warehouse import open_warehouse

place = parse_place(os.environ["PLACE"])
endpoints = service(place, "Endpoint")
if sys.argv[1] == "write":
    endpoints.create_endpoint(parent=parent(place), endpoint={"display_name": "kept"}).result(timeout=30)
    bucket(place).blob("kept.txt").upload_from_string("kept")
engine = open_warehouse(place.warehouse)
print(json.dumps({
    "endpoints": [found.display_name for found in endpoints.list_endpoints(parent=parent(place))],
    "file": bucket(place).blob("kept.txt").download_as_text(),
    "dialect": engine.dialect.name,
}))
"""


def pods() -> dict[str, dict[str, Any]]:
    """Name of the service -> spec of its pod, in the order they are needed."""
    found = {}
    for name in ("postgres", "storage", "emulator"):
        objects = list(yaml.safe_load_all((BASE / f"{name}.yaml").read_text()))
        found[name] = next(each["spec"]["template"]["spec"] for each in objects if "template" in each["spec"])
    return found


def as_container(pod: dict[str, Any], secret: dict[str, str], folder: Path) -> dict[str, Any]:
    """The arguments of `docker run` that say what the pod says."""
    (container,) = pod["containers"]
    about: dict[str, Any] = {
        "command": container.get("args"),
        "environment": {
            each["name"]: each.get("value") or secret[each["valueFrom"]["secretKeyRef"]["key"]]
            for each in container.get("env", [])
        },
    }
    if "command" in container:
        about["entrypoint"] = container["command"]
    if container["image"].startswith("postgres:") and container["image"] != POSTGRES:
        return about  # another image than the manifest's: user, folders and root file system are not its own
    security = pod["securityContext"]
    volumes = {each["name"]: each for each in pod["volumes"]}
    for mount in container["volumeMounts"]:
        if "emptyDir" in volumes.get(mount["name"], {}):
            about.setdefault("tmpfs", {})[mount["mountPath"]] = "mode=1777"
        else:
            claim = folder / mount["name"]
            claim.mkdir(parents=True)
            claim.chmod(0o777)  # what fsGroup does
            about.setdefault("volumes", {})[str(claim)] = {"bind": mount["mountPath"], "mode": "rw"}
    return about | {
        "user": f"{security['runAsUser']}:{security.get('runAsGroup', security['runAsUser'])}",
        "read_only": container["securityContext"]["readOnlyRootFilesystem"],
        "cap_drop": container["securityContext"]["capabilities"]["drop"],
        "security_opt": ["no-new-privileges"],
        "healthcheck": {"test": ["NONE"]},  # Kubernetes has its probes and does not look at the image's
    }


def until_ready(container: Any, pod: dict[str, Any]) -> None:
    """Ask as the readiness probe does, in the container."""
    probe = pod["containers"][0]["readinessProbe"]
    if "exec" in probe:
        command = probe["exec"]["command"]
    elif "httpGet" in probe:
        url = f"http://127.0.0.1:{probe['httpGet']['port']}{probe['httpGet']['path']}"
        command = ["python3", "-c", f"import urllib.request; urllib.request.urlopen('{url}', timeout=2)"]
    else:
        port = pod["containers"][0]["ports"][0]["containerPort"]
        command = ["python3", "-c", f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"]
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        container.reload()
        if container.status == "running" and container.exec_run(command).exit_code == 0:
            return
        time.sleep(0.5)
    pytest.fail(f"{container.name} is {container.status}, not ready: {container.logs().decode()[-2000:]}")


@pytest.fixture(scope="module")
def cluster(daemon: Any, start: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The three pods, ready; ``network`` and ``secret`` for whoever joins them."""
    network = daemon.networks.create(f"interlock-kind-{secrets.token_hex(4)}", driver="bridge")
    secret = {"token": secrets.token_hex(24), "password": secrets.token_hex(24)}
    running: dict[str, Any] = {"network": network.name, "secret": secret}
    try:
        for name, pod in pods().items():
            image = pod["containers"][0]["image"]
            aliases = daemon.api.create_endpoint_config(aliases=[name, f"{name}.{DOMAIN}"])
            running[name] = start(
                POSTGRES if image.startswith("postgres:") else image,
                network=network.name,
                networking_config={network.name: aliases},
                **as_container(pod, secret, tmp_path_factory.mktemp(name)),
            )
            until_ready(running[name], pod)
        yield running
    finally:
        for name in pods():
            if name in running:
                running[name].remove(force=True, v=True)
        network.remove()


@pytest.fixture
def step(cluster: dict[str, Any], output: Any) -> Any:
    """What a step of a run sees: the place of deploy/kind, and the variables of the Kubernetes templates."""
    (keys,) = read_settings(SETTINGS).secret_environment.values()
    variables = {variable: cluster["secret"][key] for key, variable in keys.items()}

    def run(verb: str) -> dict[str, Any]:
        printed = output(
            "ml",
            "python3",
            "-c",
            STEP,
            verb,
            network=cluster["network"],
            environment={**variables, "PLACE": PLACE.read_text()},
        )
        seen: dict[str, Any] = json.loads(printed.splitlines()[-1])
        return seen

    return run


def test_a_step_reaches_everything_and_pods_keep_their_state(cluster: dict[str, Any], step: Any) -> None:
    expected = {"endpoints": ["kept"], "file": "kept", "dialect": "postgresql"}
    assert step("write") == expected
    for name in ("storage", "emulator"):
        cluster[name].restart(timeout=pods()[name]["terminationGracePeriodSeconds"])
        until_ready(cluster[name], pods()[name])
    assert step("read") == expected


def test_without_the_token_the_emulator_answers_nothing(cluster: dict[str, Any], output: Any) -> None:
    code = (
        "import urllib.request, urllib.error\n"
        f"try: urllib.request.urlopen('http://emulator.{DOMAIN}:8080/v1/projects/demo-project/locations/us-central1/models')\n"
        "except urllib.error.HTTPError as error: print(error.code)"
    )
    assert output("ml", "python3", "-c", code, network=cluster["network"]) == "401"


def test_the_inference_service_serves_a_model(start: Any, candidate: Path, tmp_path: Path) -> None:
    """As KServe would start it, with a folder in place of the bucket; asked by the Open Inference Protocol."""
    pod = yaml.safe_load((ROOT / "deploy" / "kserve" / "inferenceservice.yaml").read_text())["spec"]["predictor"]
    about = as_container(pod, {}, tmp_path)
    about["environment"]["AIP_STORAGE_URI"] = "/model"
    about["volumes"] = {str(candidate): {"bind": "/model", "mode": "ro"}}
    server = start(pod["containers"][0]["image"], **about)
    until_ready(server, pod)
    url = "http://127.0.0.1:8080/v2/health/ready"
    code = f"import urllib.request; print(urllib.request.urlopen('{url}', timeout=5).read().decode())"
    answered = server.exec_run(["python3", "-c", code])
    assert json.loads(answered.output) == {"ready": True}
