"""Our evaluation in the shape the Vertex console shows: Google's classification and regression metrics schemas.

https://cloud.google.com/vertex-ai/docs/evaluation/introduction#features
"""

from __future__ import annotations

from typing import Any

from interlock.contracts import Evaluation, GateReport, Measure, Task

SCHEMA = "gs://google-cloud-aiplatform/schema/modelevaluation/{kind}_metrics_1.0.0.yaml"
GOOGLE_NAMES = {
    "auc": "auRoc",
    "auc_macro": "auRoc",
    "average_precision": "auPrc",
    "log_loss": "logLoss",
    "rmse": "rootMeanSquaredError",
    "mae": "meanAbsoluteError",
    "r2": "rSquared",
}


def metrics_schema(task: Task) -> str:
    """Where the schema of a task's metrics is."""
    return SCHEMA.format(kind="regression" if task == "regression" else "classification")


def evaluation_payload(evaluation: Evaluation, report: GateReport) -> dict[str, Any]:
    """Fields of a ``ModelEvaluation``: metrics of all rows, and as metadata what proves whose they are."""
    metrics = _metrics([m for m in evaluation.measures if not m.slice])
    if evaluation.confusion:
        names = evaluation.classes or ["0", "1"]
        metrics["confusionMatrix"] = {
            "annotationSpecs": [{"id": str(i), "displayName": name} for i, name in enumerate(names)],
            "rows": evaluation.confusion,
        }
    if evaluation.roc:
        metrics["confidenceMetrics"] = [
            {"confidenceThreshold": threshold, "falsePositiveRate": fpr, "recall": tpr}
            for threshold, fpr, tpr in evaluation.roc
        ]
    return {
        "display_name": f"test rows {evaluation.rows}",
        "metrics_schema_uri": metrics_schema(evaluation.task),
        "metrics": metrics,
        "metadata": {
            "model_sha256": evaluation.model_sha256,
            "test_sha256": evaluation.test_sha256,
            "champion": evaluation.champion,
            "gates_passed": report.passed,
            "rules": len(report.rules),
            "threshold": evaluation.threshold,
            "latency_p99_ms": evaluation.latency_p99_ms,
            "size_bytes": evaluation.size_bytes,
        },
    }


def slice_payloads(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One ``{feature, value, metrics_schema_uri, metrics}`` per slice, in the evaluation's order."""
    names = dict.fromkeys(m.slice for m in evaluation.measures if m.slice)
    schema = metrics_schema(evaluation.task)
    payloads = []
    for name in names:
        feature, _, value = name.partition("=")
        metrics = _metrics([m for m in evaluation.measures if m.slice == name])
        payloads.append({"feature": feature, "value": value, "metrics_schema_uri": schema, "metrics": metrics})
    return payloads


def _metrics(measures: list[Measure]) -> dict[str, Any]:
    """Defined metrics only: a metric that cannot be computed on a slice is left out, not written as zero."""
    return {GOOGLE_NAMES.get(m.metric, m.metric): m.value for m in measures if m.value is not None}
