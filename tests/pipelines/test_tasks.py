"""Several classes and plain numbers: from a CSV file to an endpoint that answers, through the real pipelines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_wine

from interlock.contracts import Evaluation, GateReport, Manifest, Place, Signature, read_contract
from interlock.errors import EndpointError
from interlock.local import stack
from interlock.replay import replay_version
from interlock.submission import (
    compile_pipeline,
    deployment_parameters,
    job_id,
    read_use_case,
    require_success,
    run_job,
    training_parameters,
)
from interlock.vertex.client import service
from interlock.vertex.endpoint import VertexEndpoint
from interlock.vertex.registry import VertexModelRegistry

COMMON = """
seed: 5
split: {validation: 0.2, test: 0.3}
validation: {minimum_rows: 100}
post_deploy: {minimum_requests: 20, deadline_seconds: 60}
strategy: {kind: direct, attribution_seconds: 0.1, check_seconds: 0.2}
metrics: [{name: sold, value: amount, role: business, cap: 10}, {name: errors, value: error, role: guardrail}]
"""
WINE = """
name: wine
task: multiclass
source: {table: wine.csv, time: tasted, key: [bottle]}
label: {name: cultivar, sql: "'grape ' || target", classes: [grape 0, grape 1, grape 2]}
features:
  numbers: [alcohol, malic_acid, flavanoids, color_intensity, proline]
  categories: [cellar]
slices: [cellar]
training: {estimator: random_forest, parameters: {n_estimators: 30}, class_weights: balanced, calibration: sigmoid}
gates:
  metrics:
    - {metric: accuracy, at_least: 0.7, minimum_rows: 40}
    - {metric: f1_macro, at_least: 0.7, minimum_rows: 40}
    - {metric: "recall:grape 1", at_least: 0.5, minimum_rows: 40}
    - {metric: auc_macro, slice: cellar, at_least: 0.7, minimum_rows: 10}
  regression: [{metric: log_loss, within: 0.2}, {metric: recall_macro, within: 0.1}]
  latency_p99_ms: 500
  size_megabytes: 5
"""
DIABETES = """
name: diabetes
task: regression
source: {table: diabetes.csv, time: seen, key: [patient]}
label: {name: progression, sql: target}
features:
  numbers: [age, bmi, bp, s1, s2, s5]
  categories: [sex]
slices: [sex]
training: {estimator: linear, search: {space: {fit_intercept: [true, false]}, folds: 2}}
gates:
  metrics:
    - {metric: rmse, at_most: 75, minimum_rows: 100}
    - {metric: "quantile_loss:0.8", at_most: 40, minimum_rows: 100}
    - {metric: mae, slice: sex, at_most: 70, minimum_rows: 20}
  regression: [{metric: mae, within: 0.1}]
  latency_p99_ms: 500
  size_megabytes: 5
"""
pytestmark = pytest.mark.slow
# scikit-learn's own, which skl2onnx cannot convert.
PICKLED = DIABETES.replace("name: diabetes", "name: diabetes-pickled").replace(
    "{estimator: linear, search: {space: {fit_intercept: [true, false]}, folds: 2}}",
    "{estimator: sklearn.kernel_ridge.KernelRidge, parameters: {kernel: rbf, gamma: 0.02}, allow_pickle: true}",
)
SCHEMA = "gs://google-cloud-aiplatform/schema/modelevaluation/{}_metrics_1.0.0.yaml"


def write_tables(folder: Path) -> None:
    """scikit-learn's wine and diabetes as CSV, with a day, a key and a category added."""
    wine = load_wine(as_frame=True).frame.sample(frac=1, random_state=1).reset_index(drop=True)
    wine["bottle"] = [f"b{i}" for i in range(len(wine))]
    wine["cellar"] = ["north" if i % 2 else "south" for i in range(len(wine))]
    wine["tasted"] = pd.date_range("2024-01-01", periods=len(wine), freq="D").strftime("%Y-%m-%d")
    wine.to_csv(folder / "wine.csv", index=False)
    diabetes = load_diabetes(as_frame=True, scaled=False).frame.sample(frac=1, random_state=1).reset_index(drop=True)
    diabetes["patient"] = [f"p{i}" for i in range(len(diabetes))]
    diabetes["sex"] = diabetes["sex"].map({1: "one", 2: "two"})
    diabetes["seen"] = pd.date_range("2023-01-01", periods=len(diabetes), freq="D").strftime("%Y-%m-%d")
    diabetes.to_csv(folder / "diabetes.csv", index=False)
    for name, text in (("wine", WINE), ("diabetes", DIABETES), ("pickled", PICKLED)):
        (folder / f"{name}.yaml").write_text(text + COMMON)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write_tables(folder)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    state = tmp_path_factory.mktemp("state")
    try:
        yield stack.up(state)
    finally:
        stack.down(state)


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("templates")
    return {name: compile_pipeline(name, folder) for name in ("training", "deployment")}


@pytest.fixture(scope="module", params=["wine", "diabetes", "pickled"])
def version(
    request: pytest.FixtureRequest,
    tables: Path,
    place: Place,
    templates: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The files of a version that was trained, gated, registered, deployed and asked until it was promoted."""
    case = read_use_case(tables / f"{request.param}.yaml")
    parameters = training_parameters(place, case, start="", end="")
    training = run_job(place, templates["training"], parameters=parameters, job_id=job_id(case.name, "training"))
    require_success(training)
    registry = VertexModelRegistry(place, case.name)
    found = registry.find("staging")
    assert found is not None
    folder = registry.fetch(found, tmp_path_factory.mktemp(request.param))
    with traffic(place, case.name, probe(folder)["instances"]):
        parameters = deployment_parameters(place, case)
        job = run_job(place, templates["deployment"], parameters=parameters, job_id=job_id(case.name, "deployment"))
    require_success(job)
    return folder


def probe(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode((folder / "probe.json").read_bytes())
    return found


class traffic:
    """Asks the endpoint, one row at a time, for as long as the ``with`` lasts; who is too early asks again."""

    def __init__(self, place: Place, name: str, instances: list[dict[str, Any]]) -> None:
        self._endpoint = VertexEndpoint(place, name)
        self._instances = instances
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        number = 0
        while not self._stop.wait(0.02):
            instance = {**self._instances[number % len(self._instances)], "row_key": f"r{number}"}
            try:
                self._endpoint.predict([instance])
                number += 1
            except EndpointError:  # no endpoint yet, or nothing on it
                self._stop.wait(0.2)


def test_the_version_is_in_production_and_answers_as_it_was_trained(version: Path, place: Place) -> None:
    name = read_contract(version / "manifest.json", Manifest).name
    found = VertexModelRegistry(place, name).find("production")
    assert found is not None
    assert found.version == "1"
    known = probe(version)
    answers = VertexEndpoint(place, name).predict(known["instances"])
    assert {answer["model_version"] for answer in answers} == {"1"}
    if name == "wine":
        classes = read_contract(version / "signature.json", Signature).classes
        assert classes == ["grape 0", "grape 1", "grape 2"]
        for answer, expected in zip(answers, known["probabilities"], strict=True):
            assert dict(answer["probabilities"]) == pytest.approx(expected, abs=1e-6)
            assert answer["label"] == max(expected, key=expected.__getitem__)
            assert answer["probability"] == max(answer["probabilities"].values())
    else:
        assert [answer["value"] for answer in answers] == pytest.approx(known["values"], rel=1e-6)
        assert np.std(known["values"]) > 10


def test_only_what_cannot_be_exported_is_a_pickle(version: Path) -> None:
    manifest = read_contract(version / "manifest.json", Manifest)
    pickled = manifest.name == "diabetes-pickled"
    assert manifest.format == ("joblib" if pickled else "onnx")
    assert ("KernelRidge cannot be converted to ONNX" in manifest.export_refused) is pickled
    assert (version / "model.joblib").is_file() is pickled
    assert (version / "model.onnx").is_file() is not pickled


def test_every_rule_was_held_against_what_was_measured(version: Path) -> None:
    report = read_contract(version / "gate_report.json", GateReport)
    evaluation = read_contract(version / "evaluation.json", Evaluation)
    assert report.passed
    assert {rule.gate for rule in report.rules} == {"data", "metrics", "regression", "latency", "size"}
    judged = {(rule.rule, rule.slice) for rule in report.rules if rule.gate == "metrics"}
    values = {m.metric: m for m in evaluation.measures if not m.slice}
    if evaluation.task == "multiclass":
        assert {("accuracy", ""), ("recall:grape 1", ""), ("auc_macro", "cellar=north")} <= judged
        assert np.sum(evaluation.confusion) == evaluation.rows
        assert values["accuracy"].value == pytest.approx(np.trace(evaluation.confusion) / evaluation.rows)
    else:
        assert {("rmse", ""), ("quantile_loss:0.8", ""), ("mae", "sex=one")} <= judged
        assert evaluation.confusion == evaluation.roc == []
        assert values["mae"].value < values["rmse"].value < 75


def test_the_registry_has_it_in_googles_schema(version: Path, place: Place) -> None:
    evaluation = read_contract(version / "evaluation.json", Evaluation)
    name = read_contract(version / "manifest.json", Manifest).name
    models = service(place, "Model")
    parent = f"projects/{place.project}/locations/{place.location}/models/{name}@1"
    (stored,) = models.list_model_evaluations(parent=parent)
    values = {m.metric: m.value for m in evaluation.measures if not m.slice}
    if evaluation.task == "multiclass":
        assert stored.metrics_schema_uri == SCHEMA.format("classification")
        names = [spec["displayName"] for spec in stored.metrics["confusionMatrix"]["annotationSpecs"]]
        assert names == evaluation.classes
        assert stored.metrics["auRoc"] == pytest.approx(values["auc_macro"])
    else:
        assert stored.metrics_schema_uri == SCHEMA.format("regression")
        assert stored.metrics["rootMeanSquaredError"] == pytest.approx(values["rmse"])
        assert stored.metrics["meanAbsoluteError"] == pytest.approx(values["mae"])
    slices = list(models.list_model_evaluation_slices(parent=stored.name))
    assert {one.metrics_schema_uri for one in slices} == {stored.metrics_schema_uri}
    assert len(slices) == 2


def test_training_again_gives_the_same_bytes(version: Path, tables: Path) -> None:
    again = replay_version(version, base=tables, git_revision="", lock_sha256="")
    assert again.results == []
