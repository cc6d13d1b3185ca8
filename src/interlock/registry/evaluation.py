"""Our evaluation in the shape the Vertex console shows: Google's classification metrics schema.

https://cloud.google.com/vertex-ai/docs/evaluation/introduction#classification
"""

from __future__ import annotations

from typing import Any

from interlock.contracts import Evaluation, GateReport, Measure

METRICS_SCHEMA = "gs://google-cloud-aiplatform/schema/modelevaluation/classification_metrics_1.0.0.yaml"
GOOGLE_NAMES = {"auc": "auRoc", "average_precision": "auPrc", "log_loss": "logLoss"}


def evaluation_payload(evaluation: Evaluation, report: GateReport) -> dict[str, Any]:
    """Fields of a ``ModelEvaluation``: metrics of all rows, and as metadata what proves whose they are."""
    metrics = _metrics([m for m in evaluation.measures if not m.slice])
    metrics["confusionMatrix"] = {
        "annotationSpecs": [{"id": "0", "displayName": "0"}, {"id": "1", "displayName": "1"}],
        "rows": evaluation.confusion,
    }
    metrics["confidenceMetrics"] = [
        {"confidenceThreshold": threshold, "falsePositiveRate": fpr, "recall": tpr}
        for threshold, fpr, tpr in evaluation.roc
    ]
    return {
        "display_name": f"test rows {evaluation.rows}",
        "metrics_schema_uri": METRICS_SCHEMA,
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
    payloads = []
    for name in names:
        feature, _, value = name.partition("=")
        metrics = _metrics([m for m in evaluation.measures if m.slice == name])
        payloads.append({"feature": feature, "value": value, "metrics_schema_uri": METRICS_SCHEMA, "metrics": metrics})
    return payloads


def _metrics(measures: list[Measure]) -> dict[str, Any]:
    """Defined metrics only: a metric that cannot be computed on a slice is left out, not written as zero."""
    return {GOOGLE_NAMES.get(m.metric, m.metric): m.value for m in measures if m.value is not None}
