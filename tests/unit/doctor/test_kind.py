"""The kind cluster's prerequisites. docker, kind and kubectl are programs on the path that answer as the real ones."""

import json
import re
from pathlib import Path

import msgspec
import pytest
import yaml

from interlock.commands import doctor
from interlock.doctor.cluster import kind_facts
from interlock.doctor.finding import State
from interlock.doctor.kind import KindFacts, KindSetup, ToolFacts, judge_kind

SETUP = KindSetup(cluster="interlock", namespace="kubeflow", pipelines_version="2.17.2", images=["interlock-ml:0.1.0"])
TOOLS = [ToolFacts(name=name, version="1") for name in ("docker", "kind", "kubectl")]
GOOD = KindFacts(
    tools=TOOLS,
    clusters=["interlock"],
    nodes={"interlock-control-plane": True},
    pipelines_image="ghcr.io/kubeflow/kfp-api-server:2.17.2",
    node_images=["docker.io/library/interlock-ml:0.1.0"],
)


def test_a_good_cluster():
    assert {one.state for one in judge_kind(GOOD, SETUP)} == {State.OK}


@pytest.mark.parametrize(
    ("change", "check", "state"),
    [
        ({"tools": [*TOOLS[:2], ToolFacts(name="kubectl", version="")]}, "kubectl", State.MISSING),
        ({"tools": [ToolFacts(name="docker", version="28", problem="no daemon")]}, "docker", State.MISSING),
        ({"clusters": ["other"]}, "cluster", State.MISSING),
        ({"clusters": None}, "cluster", State.UNKNOWN),
        ({"nodes": {"a": False}}, "nodes", State.MISSING),
        ({"nodes": {}}, "nodes", State.MISSING),
        ({"nodes": None}, "nodes", State.UNKNOWN),
        ({"pipelines_image": ""}, "Kubeflow Pipelines", State.MISSING),
        ({"pipelines_image": "x/api-server:2.3.0@sha256:0"}, "Kubeflow Pipelines", State.WARNING),
        ({"node_images": ["not-interlock-ml:0.1.0"]}, "image interlock-ml:0.1.0", State.MISSING),
    ],
)
def test_each_fault_is_found_and_has_a_remedy(change, check, state):
    found = {one.check: one for one in judge_kind(msgspec.structs.replace(GOOD, **change), SETUP)}
    assert found[check].state == state
    assert found[check].mend


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_nothing_is_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    facts = kind_facts(SETUP)
    assert [one.problem for one in facts.tools] == ["not installed"] * 3
    assert facts.clusters is None
    assert all(one.state != State.OK for one in judge_kind(facts, SETUP))


def test_a_cluster_is_read(monkeypatch, tmp_path):
    node = {
        "metadata": {"name": "interlock-control-plane"},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "images": [{"names": ["docker.io/library/interlock-ml:0.1.0"]}],
        },
    }
    api = {"spec": {"template": {"spec": {"containers": [{"image": "ghcr.io/kubeflow/kfp-api-server:2.17.2"}]}}}}
    (tmp_path / "nodes.json").write_text(json.dumps({"items": [node]}))
    (tmp_path / "api.json").write_text(json.dumps(api))
    program(tmp_path, "docker", '[ "$1" = info ] && { echo "Cannot connect" >&2; exit 1; }; echo Docker version 28')
    program(tmp_path, "kind", '[ "$1" = get ] && echo interlock || echo kind v0.27.0')
    case = f'case "$*" in *nodes*) read l < {tmp_path}/nodes.json;; *ml-pipeline*) read l < {tmp_path}/api.json;; '
    program(tmp_path, "kubectl", case + '*) l=\'{"clientVersion":{"gitVersion":"v1.32.4"}}\';; esac; printf "%s" "$l"')
    (tmp_path / "nodes.json").write_text((tmp_path / "nodes.json").read_text() + "\n")
    (tmp_path / "api.json").write_text((tmp_path / "api.json").read_text() + "\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = {one.check: one for one in judge_kind(kind_facts(SETUP), SETUP)}
    assert found["docker"].state == State.MISSING
    assert "its daemon does not answer: Cannot connect" in found["docker"].found
    assert {one.state for name, one in found.items() if name != "docker"} == {State.OK}


def test_the_setup_is_what_deploy_kind_makes():
    root = Path(__file__).parents[3] / "deploy" / "kind"
    cluster = yaml.safe_load((root / "cluster.yaml").read_text())["name"]
    platform = yaml.safe_load((root / "kubeflow-pipelines" / "platform" / "kustomization.yaml").read_text())
    version = re.search(r"kubeflow/pipelines/\S*\?ref=([\w.]+)", " ".join(platform["resources"]))
    assert (cluster, version.group(1)) == (doctor.CLUSTER, doctor.PIPELINES_VERSION)
    assert f"--namespace {doctor.NAMESPACE}" in (root / "up.sh").read_text()
