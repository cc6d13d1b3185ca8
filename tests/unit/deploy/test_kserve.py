"""deploy/kserve: KServe knows what it adds to a pod, the rest is a valid pod, and the server takes its variables."""

import copy
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from interlock.settings import server_settings

KSERVE = Path(__file__).parents[3] / "deploy" / "kserve"
SERVICE = yaml.safe_load((KSERVE / "inferenceservice.yaml").read_text())
PREDICTOR = SERVICE["spec"]["predictor"]
(CONTAINER,) = PREDICTOR["containers"]
KUBERNETES = "1.34"

# Of v1beta1's ComponentExtensionSpec; every other field of a predictor with containers is a pod's.
EXTENSION = {
    "minReplicas": int,
    "maxReplicas": int,
    "scaleTarget": int,
    "scaleMetric": str,
    "containerConcurrency": int,
    "timeout": int,
    "canaryTrafficPercent": int,
    "logger": dict,
    "batcher": dict,
    "labels": dict,
    "annotations": dict,
    "deploymentStrategy": dict,
}


def pod(predictor):
    """The pod that KServe makes of a predictor."""
    spec = {name: value for name, value in predictor.items() if name not in EXTENSION}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "predictor"}, "spec": spec}


def test_the_envelope():
    assert (SERVICE["apiVersion"], SERVICE["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert set(SERVICE["spec"]) == {"predictor"}
    for name in set(PREDICTOR) & set(EXTENSION):
        assert isinstance(PREDICTOR[name], EXTENSION[name]), name
    assert 0 < PREDICTOR["minReplicas"] <= PREDICTOR["maxReplicas"]
    assert PREDICTOR["scaleMetric"] in {"cpu", "memory", "concurrency", "rps"}


def test_the_rest_is_a_valid_pod():
    kubernetes_validate.validate(pod(PREDICTOR), KUBERNETES, strict=True)


def test_a_field_that_nobody_knows_would_be_found():
    wrong = copy.deepcopy(PREDICTOR) | {"minReplica": 2}
    with pytest.raises(kubernetes_validate.ValidationError, match="minReplica"):
        kubernetes_validate.validate(pod(wrong), KUBERNETES, strict=True)


def test_the_server_takes_its_variables_and_answers_its_probes():
    settings = server_settings({each["name"]: each["value"] for each in CONTAINER["env"]})
    assert settings.storage_uri.startswith("gs://")
    assert settings.host == "0.0.0.0"
    (port,) = CONTAINER["ports"]
    assert settings.port == port["containerPort"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert CONTAINER[probe]["httpGet"] == {"path": settings.health_route, "port": settings.port}
    # KServe names the container that serves; the server drains before it is killed.
    assert CONTAINER["name"] == "kserve-container"
    assert settings.drain_seconds < PREDICTOR["terminationGracePeriodSeconds"]


def test_the_pod_is_as_small_as_its_rights():
    assert PREDICTOR["automountServiceAccountToken"] is False
    assert PREDICTOR["securityContext"]["runAsNonRoot"] is True
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    # What the server writes, it writes to /tmp.
    assert {"name": "scratch", "mountPath": "/tmp"} in CONTAINER["volumeMounts"]


def test_its_account_is_beside_it():
    account = yaml.safe_load((KSERVE / "serviceaccount.yaml").read_text())
    kubernetes_validate.validate(account, KUBERNETES, strict=True)
    assert account["metadata"]["name"] == PREDICTOR["serviceAccountName"]
    listed = yaml.safe_load((KSERVE / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(path.name for path in KSERVE.glob("*.yaml") if path.name != "kustomization.yaml")
