"""Another table by config alone: from CSV to a staging version, through the real pipeline on a real emulator; then
the version is trained again from what the registry says.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sklearn.datasets import load_breast_cancer

from interlock.contracts import Evaluation, GateReport, Manifest, ModelVersion, Place, read_contract
from interlock.local import stack
from interlock.replay import replay_version
from interlock.submission import (
    compile_pipeline,
    job_id,
    read_use_case,
    require_success,
    run_job,
    training_parameters,
)
from interlock.vertex.registry import VertexModelRegistry

CONFIG = """
name: tumours
seed: 11
source: {table: tumours.csv, time: seen, key: [patient]}
label: {name: malignant, sql: diagnosis = 'M'}
features:
  numbers: [mean_radius, mean_texture, worst_area, worst_smoothness, radius_ratio]
  categories: [clinic]
  derived: {radius_ratio: worst_radius / mean_radius}
slices: [clinic]
validation: {minimum_rows: 400}
training:
  estimator: logistic
  parameters: {max_iter: 500}
cost: {false_positive: 1, false_negative: 10}
gates:
  metrics:
    - {metric: auc, at_least: 0.8, minimum_rows: 100}
    - {metric: auc, slice: clinic, at_least: 0.7, minimum_rows: 60, too_few: pass}
  regression: [{metric: cost, within: 0.2}]
  latency_p99_ms: 500
  size_megabytes: 5
metrics: [{name: cost, value: cost, role: business, cap: 10}]
strategy: {steps: [{weight: 10, margin: 0.5}]}
"""


def write_table(folder: Path) -> None:
    """scikit-learn's breast_cancer as CSV, with a day, a patient and a clinic added."""
    table = load_breast_cancer(as_frame=True)
    frame = table.frame.rename(columns=lambda name: name.replace(" ", "_"))
    frame["diagnosis"] = frame.pop("target").map({0: "M", 1: "B"})
    frame = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    frame["patient"] = [f"p{i:04d}" for i in range(len(frame))]
    frame["clinic"] = ["east" if i % 3 else "west" for i in range(len(frame))]
    frame["seen"] = [f"{2020 + i // 336}-{1 + i // 28 % 12:02d}-{1 + i % 28:02d}" for i in range(len(frame))]
    frame.to_csv(folder / "tumours.csv", index=False)
    (folder / "config.yaml").write_text(CONFIG)


@pytest.fixture(scope="module")
def use_case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tumours")
    write_table(folder)
    return folder / "config.yaml"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def place(state: Path) -> Iterator[Place]:
    try:
        yield stack.up(state)
    finally:
        stack.down(state)


@pytest.fixture(scope="module")
def registered(use_case: Path, place: Place, tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    """The version that the training pipeline made."""
    case = read_use_case(use_case)
    template = compile_pipeline("training", tmp_path_factory.mktemp("templates"))
    parameters = training_parameters(place, case, start="", end="")
    job = run_job(place, template, parameters=parameters, job_id=job_id(case.name, "training"))
    require_success(job)
    found = VertexModelRegistry(place, "tumours").find("staging")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def folder(registered: ModelVersion, place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its files."""
    return VertexModelRegistry(place, "tumours").fetch(registered, tmp_path_factory.mktemp("version"))


def test_a_staging_version_carries_its_proof(registered: ModelVersion, folder: Path) -> None:
    assert registered.version == "1"
    manifest = read_contract(folder / "manifest.json", Manifest)
    report = read_contract(folder / "gate_report.json", GateReport)
    evaluation = read_contract(folder / "evaluation.json", Evaluation)
    assert manifest.model_sha256 == report.model_sha256 == evaluation.model_sha256
    assert report.passed
    assert {rule.gate for rule in report.rules} == {"data", "metrics", "regression", "latency", "size"}
    assert {m.slice for m in evaluation.measures} == {"", "clinic=east", "clinic=west"}
    assert manifest.image
    assert manifest.parameters == {"max_iter": 500}


def test_training_again_in_another_process_gives_the_same_model_and_metrics(
    use_case: Path, place: Place, state: Path, registered: ModelVersion
) -> None:
    assert place.bucket  # it runs
    program = str(Path(sys.executable).with_name("interlock"))
    command = [program, "replay", "staging", "-c", str(use_case), "--state", str(state), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout)
    assert again["identical"] is True
    assert again["version"] == registered.version
    assert again["model_sha256"] == again["version_sha256"] == registered.model_sha256
    assert again["metrics"] == 3 * 9
    assert again["results"] == []


def test_a_changed_table_is_named(use_case: Path, folder: Path, tmp_path: Path) -> None:
    text = (use_case.parent / "tumours.csv").read_text().replace(",east,", ",west,", 1)
    (tmp_path / "tumours.csv").write_text(text)
    again = replay_version(folder, base=tmp_path, git_revision="", lock_sha256="")
    assert [difference.what for difference in again.results] == ["table"]
    assert not again.identical
