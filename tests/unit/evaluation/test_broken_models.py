"""Models that must not pass, or must: trained for real, evaluated in the real server, judged by the config's gates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlock.config import Config
from interlock.contracts import DataVerdict, Evaluation, Features, GateReport, InputField, Manifest, Signature
from interlock.contracts import write_contract as write
from interlock.errors import ContractError, InputError
from interlock.evaluation.evaluate import evaluate_model
from interlock.gates.judge import judge_candidate
from interlock.settings import child_environment

Train = Callable[..., Manifest]
Evaluate = Callable[..., Evaluation]
GOOD = DataVerdict(passed=True, rows=7000, features=4, table_sha256="table", schema_sha256="")


@pytest.fixture
def evaluate(orders_config: Config, orders_features: Features, orders_source: Path) -> Evaluate:
    def run(candidate: Path, champion: Path | None = None, source: Path = orders_source) -> Evaluation:
        return evaluate_model(
            orders_config,
            features=orders_features,
            source=source,
            candidate=candidate,
            champion=champion,
            champion_version="1" if champion else "",
            environment=child_environment(),
        )

    return run


def changed_splits(source: Path, folder: Path, change: Callable[[pa.Table, str], pa.Table]) -> Path:
    """The splits as ``change(rows, name)`` leaves them."""
    folder.mkdir()
    for name in ("train", "validation", "test"):
        pq.write_table(change(pq.read_table(source / f"{name}.parquet"), name), folder / f"{name}.parquet")
    return folder


def closed(report: GateReport) -> set[tuple[str, str]]:
    return {(r.gate, r.rule) for r in report.rules if r.verdict != "pass" and r.blocking}


def test_shuffled_labels_fail(
    tmp_path: Path, orders_config: Config, orders_source: Path, train_orders: Train, candidate: Path, evaluate: Evaluate
) -> None:
    def shuffled(rows: pa.Table, name: str) -> pa.Table:
        if name == "test":
            return rows
        labels = np.random.default_rng(1).permutation(rows.column("late").to_numpy())
        return rows.set_column(rows.column_names.index("late"), "late", pa.array(labels))

    source = changed_splits(orders_source, tmp_path / "shuffled", shuffled)
    manifest = train_orders(tmp_path / "candidate", source=source)
    found = evaluate(tmp_path / "candidate", candidate)
    report = judge_candidate(orders_config, verdict=GOOD, manifest=manifest, evaluation=found)
    assert not report.passed
    assert {("metrics", "auc"), ("regression", "auc")} <= closed(report)


def test_a_leaking_feature_passes(
    tmp_path: Path, orders_config: Config, orders_source: Path, train_orders: Train, candidate: Path, evaluate: Evaluate
) -> None:
    """Offline nothing tells it from a good feature: what finds it is the canary, where the feature is missing."""

    def leaking(rows: pa.Table, _: str) -> pa.Table:
        noise = np.random.default_rng(2).normal(0, 0.4, rows.num_rows)
        leak = (rows.column("late").to_numpy() + noise).astype(np.float32)
        return rows.append_column("arrived_minutes", pa.array(leak))

    source = changed_splits(orders_source, tmp_path / "leaking", leaking)
    numbers = [*orders_config.features.numbers, "arrived_minutes"]
    config = msgspec.structs.replace(
        orders_config, features=msgspec.structs.replace(orders_config.features, numbers=numbers)
    )
    manifest = train_orders(tmp_path / "candidate", config=config, source=source)
    found = evaluate(tmp_path / "candidate", candidate, source)
    report = judge_candidate(orders_config, verdict=GOOD, manifest=manifest, evaluation=found)
    assert report.passed, closed(report)
    better = next(c for c in found.comparisons if c.metric == "auc")
    assert better.low is not None
    assert better.low > 0.02  # it even looks better


def test_nan_predictions_fail(tmp_path: Path, evaluate: Evaluate) -> None:
    write_model(tmp_path / "sometimes", nan_when_missing=False)
    with pytest.raises(InputError, match=r"candidate: \d+ of 3000 probabilities are not in \[0, 1\]"):
        evaluate(tmp_path / "sometimes")
    write_model(tmp_path / "missing", nan_when_missing=True)
    with pytest.raises(ContractError, match="for a row of missing values"):
        evaluate(tmp_path / "missing")


def write_model(folder: Path, *, nan_when_missing: bool) -> None:
    """A folder whose digests agree and whose graph answers sqrt(load), which is NaN for half of the rows; where
    ``load`` is missing, NaN or 0.5.
    """
    import hashlib

    from onnx import TensorProto, helper, numpy_helper

    half = numpy_helper.from_array(np.array([[0.5]], np.float32), "half")
    one = numpy_helper.from_array(np.array([[1.0]], np.float32), "one")
    nodes = [
        helper.make_node("Sqrt", ["load"], ["root"]),
        helper.make_node("IsNaN", ["load"], ["gone"]),
        helper.make_node("Where", ["gone", "root" if nan_when_missing else "half", "root"], ["score"]),
        helper.make_node("Sub", ["one", "score"], ["rest"]),
        helper.make_node("Concat", ["rest", "score"], ["probabilities"], axis=1),
    ]
    load = helper.make_tensor_value_info("load", TensorProto.FLOAT, [None, 1])
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph(nodes, "broken", [load], [output], [half, one])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model)
    signature = Signature(task="binary", inputs=[InputField(name="load", kind="number")], threshold=0.5)
    write(signature, folder / "signature.json")
    (folder / "probe.json").write_bytes(b'{"instances": [{"load": 0.25}], "probabilities": [0.5]}')
    manifest = Manifest(
        name="orders",
        model_sha256=hashlib.sha256(model).hexdigest(),
        signature_sha256=hashlib.sha256((folder / "signature.json").read_bytes()).hexdigest(),
        features_sha256="f",
        table_sha256="table",
        config_sha256="c",
        config="",
        seed=0,
        window=[],
        rows={},
    )
    write(manifest, folder / "manifest.json")


def test_a_champion_of_another_task_is_not_compared(
    tmp_path: Path, orders_config: Config, candidate: Path, evaluate: Evaluate
) -> None:
    found = evaluate(candidate, _as_regression(candidate, tmp_path / "champion"))
    assert found.champion_unscorable == "its task is regression, not binary"
    manifest = msgspec.json.decode((candidate / "manifest.json").read_bytes(), type=Manifest)
    report = judge_candidate(orders_config, verdict=GOOD, manifest=manifest, evaluation=found)
    assert not report.passed
    assert ("regression", "auc") in closed(report)


def _as_regression(candidate: Path, folder: Path) -> Path:
    """A regression over the same inputs: the candidate's graph, read as if its probabilities were one value."""
    import hashlib
    import shutil

    import onnx
    from onnx import TensorProto, helper, numpy_helper

    shutil.copytree(candidate, folder)
    model = onnx.load(folder / "model.onnx")
    model.graph.node.append(helper.make_node("ReduceMax", ["probabilities", "axes"], ["value"], keepdims=1))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "axes"))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("value", TensorProto.FLOAT, [None, 1]))
    content = model.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    signature = msgspec.json.decode((folder / "signature.json").read_bytes(), type=Signature)
    changed = msgspec.structs.replace(signature, task="regression", probability_output="value", threshold=0.0)
    write(changed, folder / "signature.json")
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
    digests = {
        "model_sha256": hashlib.sha256(content).hexdigest(),
        "signature_sha256": hashlib.sha256((folder / "signature.json").read_bytes()).hexdigest(),
    }
    write(msgspec.structs.replace(manifest, **digests), folder / "manifest.json")
    return folder
