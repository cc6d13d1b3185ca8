"""Facts of Docker and a kind cluster, from their own command lines."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from interlock.doctor.kind import KindFacts, KindSetup, ToolFacts

SECONDS = 20
VERSIONS = {
    "docker": ["docker", "--version"],
    "kind": ["kind", "version"],
    "kubectl": ["kubectl", "version", "--client", "--output=json"],
}


def kind_facts(setup: KindSetup) -> KindFacts:
    """Ask docker, kind and the cluster. What cannot be asked stays None."""
    tools = [_tool(name) for name in VERSIONS]
    clusters = _run(["kind", "get", "clusters"])
    names = None if isinstance(clusters, ToolFacts) else clusters.split()
    facts = KindFacts(tools=tools, clusters=names)
    if names is None or setup.cluster not in names:
        return facts
    kubectl = ["kubectl", "--context", f"kind-{setup.cluster}", f"--request-timeout={SECONDS}s", "--output=json", "get"]
    nodes = _json([*kubectl, "nodes"])
    api = _json([*kubectl, "--namespace", setup.namespace, "--ignore-not-found", "deployment", "ml-pipeline"])
    return KindFacts(
        tools=tools,
        clusters=names,
        nodes=None if nodes is None else {one["metadata"]["name"]: _ready(one) for one in nodes["items"]},
        pipelines_image=None if api is None else _image_of(api),
        node_images=None
        if nodes is None
        else [name for one in nodes["items"] for image in one["status"].get("images", []) for name in image["names"]],
    )


def _tool(name: str) -> ToolFacts:
    said = _run(VERSIONS[name])
    if isinstance(said, ToolFacts):
        return said
    version = json.loads(said)["clientVersion"]["gitVersion"] if name == "kubectl" else said.strip().splitlines()[0]
    if name != "docker":
        return ToolFacts(name=name, version=version)
    server = _run(["docker", "info", "--format", "{{.ServerVersion}}"])
    problem = f"its daemon does not answer: {server.problem}" if isinstance(server, ToolFacts) else ""
    return ToolFacts(name=name, version=version, problem=problem)


def _run(command: Sequence[str]) -> str | ToolFacts:
    """What the command printed, or what kept it from it."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except FileNotFoundError:
        return ToolFacts(name=command[0], version="", problem="not installed")
    except (OSError, subprocess.TimeoutExpired) as error:
        return ToolFacts(name=command[0], version="", problem=str(error))
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
        return ToolFacts(name=command[0], version="", problem=lines[-1])
    return done.stdout


def _json(command: Sequence[str]) -> Any:
    """The JSON that the command printed, {} for none, None when it failed."""
    said = _run(command)
    if isinstance(said, ToolFacts):
        return None
    return json.loads(said) if said.strip() else {}


def _ready(node: dict[str, Any]) -> bool:
    conditions = node["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _image_of(deployment: dict[str, Any]) -> str:
    if not deployment:
        return ""
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])
