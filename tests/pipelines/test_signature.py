"""A signed version on a real emulator: what somebody changed in the bucket, or another key signed, is not deployed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sklearn.datasets import load_breast_cancer

from interlock.contracts import ModelVersion, Place
from interlock.errors import GateFailed
from interlock.local import stack
from interlock.submission import (
    compile_pipeline,
    deployment_parameters,
    job_id,
    read_use_case,
    require_success,
    run_job,
    training_parameters,
)
from interlock.vertex import jobs
from interlock.vertex.client import bucket
from interlock.vertex.registry import VertexModelRegistry

pytestmark = pytest.mark.slow

CONFIG = """
name: signed
source: {table: tumours.csv, time: seen, key: [patient]}
label: {name: malignant, sql: target = 0}
features: {numbers: [mean_radius, mean_texture, worst_area]}
validation: {minimum_rows: 400}
training: {estimator: logistic, parameters: {max_iter: 500}}
cost: {false_positive: 1, false_negative: 10}
gates:
  metrics: [{metric: auc, at_least: 0.8, minimum_rows: 50}]
  regression: [{metric: cost, within: 0.2}]
  latency_p99_ms: 500
  size_megabytes: 5
metrics: [{name: cost, value: cost, role: business, cap: 10}]
strategy: {steps: [{weight: 10, margin: 0.5}]}
"""


def public_key(private: Ed25519PrivateKey) -> str:
    encoding, shape = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(encoding, shape).decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table and a config that signs and asks for the signature."""
    made = tmp_path_factory.mktemp("signed")
    frame = load_breast_cancer(as_frame=True).frame.rename(columns=lambda name: name.replace(" ", "_"))
    frame = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    frame["patient"] = [f"p{i:04d}" for i in range(len(frame))]
    frame["seen"] = [f"{2020 + i // 336}-{1 + i // 28 % 12:02d}-{1 + i % 28:02d}" for i in range(len(frame))]
    frame.to_csv(made / "tumours.csv", index=False)
    private = Ed25519PrivateKey.generate()
    encoding, shape = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (made / "key.pem").write_bytes(private.private_bytes(encoding, shape, serialization.NoEncryption()))
    (made / "key.pem").chmod(0o600)
    signing = {"private_key": str(made / "key.pem"), "public_keys": [public_key(private)], "require_signature": True}
    (made / "config.yaml").write_text(yaml.safe_dump(yaml.safe_load(CONFIG) | {"signing": signing}))
    return made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    state = tmp_path_factory.mktemp("state")
    try:
        yield stack.up(state)
    finally:
        stack.down(state)


@pytest.fixture(scope="module")
def registered(folder: Path, place: Place) -> ModelVersion:
    """The version that the training pipeline made, and signed."""
    case = read_use_case(folder / "config.yaml")
    parameters = training_parameters(place, case, start="", end="")
    template = compile_pipeline("training", folder)
    require_success(run_job(place, template, parameters=parameters, job_id=job_id(case.name, "training")))
    found = VertexModelRegistry(place, "signed").find("staging")
    assert found is not None
    return found


def deploy(place: Place, config: Path) -> jobs.JobState:
    """Submit the deployment; its state as soon as the first task is done."""
    case = read_use_case(config)
    template = compile_pipeline("deployment", config.parent)
    name = job_id(case.name, "deployment")
    job = jobs.submit(place, template, parameters=deployment_parameters(place, case), job_id=name)
    for state in jobs.watch(place, job):
        resolved = [task.state for task in state.tasks if task.name == "resolve-candidate"]
        if resolved == ["succeeded"] or state.state in {"failed", "succeeded"}:
            return state
    raise AssertionError("the job ended without a state")


def test_a_changed_gate_report_is_not_deployed(folder: Path, place: Place, registered: ModelVersion) -> None:
    path = f"{registered.artifact_uri.removeprefix(f'gs://{place.bucket}/')}/gate_report.json"
    blob = bucket(place).blob(path)
    kept = blob.download_as_bytes()
    blob.upload_from_string(kept + b"\n")
    try:
        with pytest.raises(GateFailed, match=r"version 1: gate_report\.json changed after it was signed"):
            require_success(deploy(place, folder / "config.yaml"))
    finally:
        blob.upload_from_string(kept)


def test_another_key_and_no_signature_are_not_accepted(folder: Path, place: Place, registered: ModelVersion) -> None:
    raw = yaml.safe_load((folder / "config.yaml").read_text())
    raw["signing"]["public_keys"] = [public_key(Ed25519PrivateKey.generate())]
    (folder / "foreign.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(GateFailed, match=r"version 1 is signed by [0-9a-f]{16}, accepted are [0-9a-f]{16}"):
        require_success(deploy(place, folder / "foreign.yaml"))

    path = f"{registered.artifact_uri.removeprefix(f'gs://{place.bucket}/')}/model_signature.json"
    blob = bucket(place).blob(path)
    kept = blob.download_as_bytes()
    blob.delete()
    try:
        with pytest.raises(GateFailed, match="version 1 is not signed"):
            require_success(deploy(place, folder / "config.yaml"))
    finally:
        bucket(place).blob(path).upload_from_string(kept)


def test_what_is_signed_goes_on(folder: Path, place: Place, registered: ModelVersion) -> None:
    assert registered.version == "1"
    state = deploy(place, folder / "config.yaml")
    assert [task.state for task in state.tasks if task.name == "resolve-candidate"] == ["succeeded"]
