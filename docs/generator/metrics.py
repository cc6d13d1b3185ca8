"""What can be measured: /metrics of the model server, values of the config's metrics, offline metrics."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import inspect

from generator.markdown import heading, prose, table
from interlock.config import Metric
from interlock.config.gates import lower_is_better, metrics_of
from interlock.serving.metrics import Metrics

SERVING = {
    "interlock_requests_total": "finished requests, by route and class of status",
    "interlock_refusals_total": "requests refused, by reason",
    "interlock_predict_latency_seconds": "time in the server, of predictions",
    "interlock_batch_instances": "instances per request",
    "interlock_score": "probabilities answered",
    "interlock_instances_total": "instances answered",
    "interlock_prediction_log_records_total": "records written to the prediction log",
    "interlock_prediction_log_dropped_total": "records that did not fit the log's queue",
    "interlock_requests_in_flight": "requests being answered now",
    "interlock_connections": "open connections",
    "interlock_workers": "processes on the port",
    "interlock_model_info": "always 1; labels say which model is served and by which engine",
}
OFFLINE = {
    "auc": "area under the ROC curve",
    "average_precision": "area under the precision-recall curve",
    "log_loss": "mean negative log-likelihood",
    "brier": "mean squared error of the probability",
    "calibration_error": "mean distance of score and observed share, over tenths of the rows",
    "precision": "share of rows called 1 that are 1, at the threshold",
    "recall": "share of rows that are 1 called 1, at the threshold",
    "f1": "harmonic mean of precision and recall",
    "cost": "mean cost of the decisions, from `cost` in the config",
    "accuracy": "share of rows whose likeliest class is the right one",
    "auc_macro": "mean over the classes of `auc`, one class against the rest",
    "precision_macro": "mean over the classes of `precision`",
    "recall_macro": "mean over the classes of `recall`",
    "f1_macro": "mean over the classes of `f1`",
    "mae": "mean absolute error",
    "rmse": "root of the mean squared error",
    "r2": "share of the variance that is explained",
    "bias": "mean of prediction minus truth",
    "quantile_loss": "mean pinball loss at quantile Q",
}
OF_A_CLASS = {
    "auc": "area under the ROC curve, this class against the rest",
    "precision": "share of rows called this class that are of it",
    "recall": "share of rows of this class that are called so",
    "f1": "harmonic mean of the two",
}
NEITHER = "nearer to 0"


def page() -> str:
    """The page."""
    serving = ((f"`{name}`", kind, labels, SERVING[name]) for name, kind, labels in served())
    class_names = metrics_of("multiclass", ["CLASS"])
    regression = tuple(dict.fromkeys(re.sub(r":.*", ":Q", name) for name in metrics_of("regression", [])))
    return "\n".join(
        [
            heading(
                "Metrics",
                "Three kinds: what the model server counts about itself, what a rollout measures in the warehouse, and "
                "what an evaluation measures on the test rows.",
            ),
            "## The model server, `GET /metrics`\n",
            "Prometheus text; with several workers, of all of them.\n",
            table(("metric", "type", "labels", "meaning"), serving),
            "## A rollout\n",
            "Named under [`metrics`](config.md#metric) in the config, measured in the "
            "[warehouse](warehouse.md) for champion and candidate; "
            "[rollouts](../rollouts.md#metrics) says which evidence each value has.\n",
            table(("`value`", "better", "kind", "measured"), online()),
            "## An evaluation\n",
            "For [gate rules](config.md#metricrule); each with its 95 % interval, on all rows and per slice.\n",
            "### Binary\n",
            offline(metrics_of("binary", [])),
            "### Multiclass\n",
            "`auc:CLASS` and its like are about one class of `label.classes`.\n",
            offline(class_names),
            "### Regression\n",
            "Q is a quantile, 0.1, 0.5 and 0.9 in any case, others where a rule names them.\n",
            offline(regression),
        ]
    )


def offline(metrics: Sequence[str]) -> str:
    """One row per metric that an evaluation measures."""
    rows = []
    for metric in metrics:
        name, _, about = metric.partition(":")
        better = NEITHER if name == "bias" else "lower" if lower_is_better(name) else "higher"
        rows.append((f"`{metric}`", better, OF_A_CLASS[name] if about == "CLASS" else OFFLINE[name]))
    return table(("metric", "better", "meaning"), rows)


def online() -> list[tuple[str, str, str, str]]:
    """(value, better, kind, meaning) of each value that a metric of a rollout can have."""
    told = dict(re.findall(r"``(\w+)`` \(([^)]*)\)", Metric.__doc__ or ""))
    info = inspect.type_info(Metric)
    assert isinstance(info, inspect.StructType)
    kind = next(field.type for field in info.fields if field.name == "value")
    assert isinstance(kind, inspect.LiteralType)
    metrics = [Metric(name="m", value=value, role="guardrail") for value in kind.values]  # type: ignore[arg-type]
    return [
        (
            f"`{metric.value}`",
            "as `better` says" if metric.value == "counter" else "higher" if metric.up else "lower",
            "mean, capped" if metric.is_mean else "rate",
            prose(told[metric.value]),
        )
        for metric in metrics
    ]


def served() -> list[tuple[str, str, str]]:
    """(name, type, labels) of each metric in what the server really answers."""
    counts = Metrics(model_name="m", model_version="1", model_sha256="0")
    counts.observe("predict", 200, 0.001)
    text = counts.render().decode()
    found = []
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        labels = re.search(rf"^{name}{{(.*)}} ", text, re.MULTILINE)
        names = re.findall(r"(\w+)=\"", labels[1]) if labels else []
        found.append((name, kind, ", ".join(f"`{label}`" for label in names)))
    return found
