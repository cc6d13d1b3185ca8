"""The manifests of deploy/kind: valid for the pinned Kubernetes, closed by default, and in step with each other.

No cluster can be made where this is tested: Kubernetes' own schemas stand in for one, and `kubectl kustomize` for what
would be applied. docs/kind.md says what that leaves open.
"""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from interlock.contracts import parse_place
from interlock.emulator.__main__ import parse
from interlock.local.kubernetes import read_settings

ROOT = Path(__file__).parents[3]
KIND = ROOT / "deploy" / "kind"
CLUSTER = yaml.safe_load((KIND / "cluster.yaml").read_text())
KUBERNETES = re.search(r"kindest/node:v([0-9.]+)@sha256:[0-9a-f]{64}$", CLUSTER["nodes"][0]["image"])[1]
OVERLAYS = ["overlays/kind", "overlays/cluster"]
STATEFUL = {"Deployment", "StatefulSet"}


@cache
def files():
    """Every object in the files of the base, as a person reads them."""
    return [
        found
        for path in sorted((KIND / "base").glob("*.yaml"))
        if path.name != "kustomization.yaml"
        for found in yaml.safe_load_all(path.read_text())
    ]


@cache
def built(folder):
    """What `kubectl apply --kustomize` would send."""
    if shutil.which("kubectl") is None:
        pytest.skip("NOT VALIDATED: there is no kubectl, so kustomize cannot build deploy/kind/overlays")
    command = ["kubectl", "kustomize", KIND / folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def named(objects, kind, name):
    (found,) = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def pods(objects):
    """(workload, its pod spec)"""
    return [
        (each["metadata"]["name"], each["spec"]["template"]["spec"]) for each in objects if each["kind"] in STATEFUL
    ]


@pytest.mark.parametrize("found", files(), ids=lambda found: f"{found['kind']}-{found['metadata']['name']}")
def test_every_file_is_valid_for_the_pinned_kubernetes(found):
    assert kubernetes_validate.validate(found, KUBERNETES, strict=True) == "1.34"


@pytest.mark.parametrize("folder", OVERLAYS)
def test_what_is_applied_is_valid_too(folder):
    objects = built(folder)
    for found in objects:
        kubernetes_validate.validate(found, KUBERNETES, strict=True)
        assert found["kind"] == "Namespace" or found["metadata"]["namespace"] == "interlock"
        assert found["metadata"]["labels"]["app.kubernetes.io/part-of"] == "interlock"
    kinds = {each["kind"] for each in objects}
    assert {"Namespace", "Role", "NetworkPolicy", "ResourceQuota", "PersistentVolumeClaim", "StatefulSet"} <= kinds


def test_a_mistake_would_be_found():
    wrong = {**named(files(), "Service", "emulator"), "spec": {"selektor": {}, "ports": [{"port": "http"}]}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_kubeflow_pipelines_is_pinned_to_the_minor_version_of_the_sdk():
    sdk = re.search(r'"kfp==(\d+\.\d+)\.', (ROOT / "pyproject.toml").read_text())[1]
    for part in ("cluster", "platform"):
        found = yaml.safe_load((KIND / "kubeflow-pipelines" / part / "kustomization.yaml").read_text())
        (reference,) = found["resources"]
        assert re.fullmatch(rf"https://github\.com/kubeflow/pipelines/[\w/-]+\?ref={re.escape(sdk)}\.\d+", reference)


@pytest.mark.parametrize("folder", OVERLAYS)
def test_pods_are_as_small_as_their_rights(folder):
    """What the namespace's `restricted` standard would refuse, and a little more."""
    objects = built(folder)
    assert (
        named(objects, "Namespace", "interlock")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        == "restricted"
    )
    for name, pod in pods(objects):
        assert pod["automountServiceAccountToken"] is False
        assert pod["serviceAccountName"] == name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["readinessProbe"]
            assert container["livenessProbe"]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_quota_holds_what_is_asked_for(folder):
    objects = built(folder)
    quota = named(objects, "ResourceQuota", "interlock")["spec"]["hard"]
    for side in ("requests", "limits"):
        for what, amount in (("cpu", cpu), ("memory", memory)):
            asked = sum(amount(each["resources"][side][what]) for _, pod in pods(objects) for each in pod["containers"])
            assert 0 < asked <= amount(quota[f"{side}.{what}"])
    claims = [each for each in objects if each["kind"] == "PersistentVolumeClaim"]
    claims += [claim for each in objects for claim in each.get("spec", {}).get("volumeClaimTemplates", [])]
    assert len(claims) == int(quota["persistentvolumeclaims"])
    asked = sum(memory(each["spec"]["resources"]["requests"]["storage"]) for each in claims)
    assert asked <= memory(quota["requests.storage"])


def cpu(text):
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def memory(text):
    """Mebibytes."""
    return {"Mi": 1, "Gi": 1024}[text[-2:]] * float(text[:-2])


def test_traffic_is_closed_and_opened_by_name():
    policies = {each["metadata"]["name"]: each["spec"] for each in files() if each["kind"] == "NetworkPolicy"}
    assert policies["closed"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    workloads = {name for name, _ in pods(files())}
    assert set(policies) == {"closed", *workloads}
    for name in workloads:
        policy = policies[name]
        assert policy["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": name}
        (port,) = named(files(), "Service", name)["spec"]["ports"]
        (rule,) = policy["ingress"]
        assert [each["port"] for each in rule["ports"]] == [port["port"]]
        assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kubeflow"}}} in rule["from"]
    assert "egress" not in policies["postgres"]
    assert "egress" not in policies["storage"]


def test_services_reach_their_pods():
    for name, pod in pods(files()):
        service = named(files(), "Service", name)["spec"]
        (port,) = service["ports"]
        ports = {each["name"]: each["containerPort"] for each in pod["containers"][0]["ports"]}
        assert ports[port["targetPort"]] == port["port"]
        workload = next(each for each in files() if each["kind"] in STATEFUL and each["metadata"]["name"] == name)
        assert service["selector"] == workload["spec"]["template"]["metadata"]["labels"]
        assert workload["spec"]["selector"]["matchLabels"] == service["selector"]


def test_the_place_of_the_steps_is_where_the_services_are():
    place = parse_place((KIND / "place.json").read_text())
    emulator = dict(pods(files()))["emulator"]["containers"][0]
    options = parse([*emulator["args"], "--state", "/state"])  # the emulator's own command line takes them
    assert (options.project, options.location) == (place.project, place.location)
    services = {
        each["metadata"]["name"]: each["spec"]["ports"][0]["port"] for each in files() if each["kind"] == "Service"
    }
    assert place.api_endpoint == f"http://emulator.interlock.svc.cluster.local:{services['emulator']}"
    assert place.storage_endpoint == f"http://storage.interlock.svc.cluster.local:{services['storage']}"
    assert options.storage_endpoint == f"http://storage:{services['storage']}"
    assert place.warehouse == options.warehouse.replace("@postgres/", "@postgres.interlock.svc.cluster.local/")
    storage = dict(pods(files()))["storage"]["containers"][0]["args"]
    assert storage[storage.index("--default-bucket") + 1] == place.bucket


def test_the_password_is_in_no_file():
    text = "".join(path.read_text() for path in KIND.rglob("*") if path.is_file())
    assert not re.search(r"postgresql[+\w]*://[^@/\s]*:[^@/\s]*@", text)
    assert "kind: Secret" not in text
    settings = read_settings(ROOT / "deploy" / "templates" / "kubernetes.yaml")
    used = {
        (variable["valueFrom"]["secretKeyRef"]["name"], variable["valueFrom"]["secretKeyRef"]["key"])
        for _, pod in pods(files())
        for container in pod["containers"]
        for variable in container.get("env", [])
        if "valueFrom" in variable
    }
    given = {(secret, key) for secret, keys in settings.secret_environment.items() for key in keys}
    assert used == given == {("interlock", "token"), ("interlock", "password")}


def test_images_are_those_of_this_version():
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    images = {container["image"].partition("@")[0] for _, pod in pods(files()) for container in pod["containers"]}
    assert images == {f"interlock-emulator:{version}", "postgres:17"}
    for name, pod in pods(built("overlays/kind")):
        for container in pod["containers"]:
            assert name == "postgres" or container["imagePullPolicy"] == "Never"
