"""Rules of every task: the names each knows, and which way is better."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml

from interlock.config import Config, Gates, lower_is_better, parse_config
from interlock.contracts import DataVerdict, Evaluation, GateReport, Manifest
from interlock.errors import ConfigError
from interlock.evaluation.evaluate import compare, measures
from interlock.evaluation.regression import ValueAnswers
from interlock.gates.judge import judge_candidate

TEXT = """
name: orders
task: {task}
source: {{table: orders.csv, time: day, key: [order]}}
label: {{name: arrival, sql: arrival{classes}}}
features: {{numbers: [load], categories: [shop]}}
slices: [shop]
gates:
  metrics: [{{metric: "{metric}", at_least: 0.5}}]
  regression: [{{metric: "{paired}", within: 0.1}}]
  latency_p99_ms: 10
  size_megabytes: 10
metrics: [{{name: sold, value: amount, role: business, cap: 4}}]
strategy: {{steps: [{{weight: 10, margin: 0.5}}]}}
"""
ABC = ", classes: [a, b, c]"


def text(task: str, *, classes: str = "", metric: str = "", paired: str = "") -> str:
    usual = {"binary": "auc", "multiclass": "accuracy", "regression": "mae"}[task]
    return TEXT.format(task=task, classes=classes, metric=metric or usual, paired=paired or usual)


@pytest.mark.parametrize(
    ("task", "changes", "said"),
    [
        ("regression", {"metric": "auc"}, "'auc' is not a metric of task regression; allowed: mae, rmse"),
        ("regression", {"metric": "quantile_loss:1.5"}, "quantile_loss:Q with 0 < Q < 1"),
        ("regression", {"paired": "bias"}, r"gates\.regression\[0\]\.metric: compared with the champion, 'bias'"),
        ("multiclass", {"classes": ABC, "metric": "auc"}, "'auc' is not a metric of task multiclass"),
        ("multiclass", {"classes": ABC, "metric": "recall:d"}, "recall:a, recall:b, recall:c"),
        ("multiclass", {"classes": ABC, "metric": "mae"}, "'mae' is not a metric of task multiclass"),
        ("multiclass", {}, r"label\.classes: \[\]; a multiclass task names two or more"),
        ("multiclass", {"classes": ", classes: [a, a]"}, "different classes"),
        ("regression", {"classes": ABC}, r"label\.classes: only a multiclass task has them"),
        ("binary", {}, "cost: a binary task needs it"),
    ],
)
def test_metrics_of_another_task_are_refused_before_training(task: str, changes: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(text(task, **changes))


@pytest.mark.parametrize(
    ("addition", "said"),
    [
        ("cost: {false_positive: 1, false_negative: 2}", "a regression task has no false positives"),
        ("training: {class_weights: balanced}", "no classes to weigh"),
        ("training: {calibration: sigmoid}", "no probabilities to calibrate"),
        ("validation: {rules: {label_balance: [0.1, 0.9]}}", "label_balance"),
    ],
)
def test_settings_of_another_task_are_refused(addition: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(text("regression") + addition)


def test_online_metrics_of_another_task_are_refused() -> None:
    priced = text("regression").replace("value: amount", "value: cost")
    with pytest.raises(ConfigError, match=r"metrics\[0\]\.value: cost is about wrong decisions of a binary task"):
        parse_config(priced)
    shadowed = text("multiclass", classes=ABC).replace("strategy: {", "strategy: {shadow: {margin: 0.1}, ")
    with pytest.raises(ConfigError, match=r"strategy\.shadow"):
        parse_config(shadowed)


def test_a_weight_for_every_class_is_asked() -> None:
    weights = text("multiclass", classes=ABC) + "training: {class_weights: {a: 1, b: 2}}"
    with pytest.raises(ConfigError, match="a weight for each of a, b, c"):
        parse_config(weights)


def test_per_class_and_quantile_names_are_understood() -> None:
    assert (
        parse_config(text("multiclass", classes=ABC, metric="f1:c", paired="auc:a")).gates.metrics[0].metric == "f1:c"
    )
    assert parse_config(text("regression", metric="quantile_loss:0.75", paired="quantile_loss:0.95"))


def test_losses_are_better_when_lower() -> None:
    lower = ("rmse", "mae", "quantile_loss:0.9", "log_loss", "brier", "cost")
    assert all(lower_is_better(metric) for metric in lower)
    assert not any(lower_is_better(metric) for metric in ("r2", "accuracy", "recall:a", "f1_macro", "auc"))


Judge = Callable[[np.ndarray, np.ndarray | None], GateReport]
LABELS = 5 * np.random.default_rng(1).normal(size=3000) + 20
SHOP = np.random.default_rng(2).integers(0, 3, 3000)


@pytest.fixture
def judge(data_verdict: DataVerdict, model_manifest: Manifest, evaluated: Any, rows: Any) -> Judge:
    """Verdict on a regression that answers these values, against a champion that answers those."""
    config = parse_config(text("regression"))
    rules = """
    metrics: [{metric: rmse, at_most: 1.2}, {metric: r2, at_least: 0.9}, {metric: mae, slice: shop, at_most: 1.0}]
    regression: [{metric: mae, within: 0.1}, {metric: r2, within: 0.01}, {metric: mae, slice: shop, within: 0.2}]
    latency_p99_ms: 10
    size_megabytes: 5
    """
    config = msgspec.structs.replace(config, gates=msgspec.convert(yaml.safe_load(rules), type=Gates))
    masks = {f"shop={i}": i == SHOP for i in range(3)}

    def of(values: np.ndarray, champion: np.ndarray | None) -> GateReport:
        mine = ValueAnswers(labels=LABELS, scores=values)
        theirs = ValueAnswers(labels=LABELS, scores=champion) if champion is not None else None
        evaluation: Evaluation = msgspec.structs.replace(
            evaluated(rows.logits),
            task="regression",
            champion="3" if theirs else "",
            measures=list(measures(config, mine, masks)),
            comparisons=compare(config, mine, theirs) if theirs else [],
            slice_comparisons=_on_slices(config, mine, theirs, masks) if theirs else [],
        )
        return judge_candidate(
            config,
            verdict=data_verdict,
            manifest=model_manifest,
            evaluation=evaluation,
            today=datetime.date(2025, 3, 1),
        )

    return of


def _on_slices(config: Config, mine: ValueAnswers, theirs: ValueAnswers, masks: dict[str, np.ndarray]) -> list[Any]:
    return [c for name, mask in masks.items() for c in compare(config, mine.subset(mask), theirs.subset(mask), name)]


def noisy(amount: float, seed: int = 3) -> np.ndarray:
    return LABELS + np.random.default_rng(seed).normal(0, amount, len(LABELS))


def test_a_sound_regression_passes_and_says_its_numbers(judge: Judge) -> None:
    report = judge(noisy(1.0), noisy(1.0, 4))
    assert report.passed, [r.reason for r in report.rules if r.verdict != "pass"]
    reasons = {(r.gate, r.rule, r.slice): r.reason for r in report.rules}
    assert "upper 95 % bound" in reasons["metrics", "rmse", ""]
    assert "lower 95 % bound" in reasons["metrics", "r2", ""]


def test_a_worse_regression_fails_and_swapped_it_passes(judge: Judge) -> None:
    good, bad = noisy(0.8), noisy(1.1)
    failed = judge(bad, good)
    assert {r.rule for r in failed.rules if r.gate == "regression" and r.verdict == "fail"} == {"mae", "r2"}
    assert judge(good, bad).passed


def test_a_regression_against_itself_is_neither_better_nor_worse(judge: Judge) -> None:
    report = judge(noisy(1.0), noisy(1.0))
    compared = [r for r in report.rules if r.gate == "regression"]
    assert {r.value for r in compared} == {0.0}
    assert report.passed


def test_one_bad_slice_closes(judge: Judge) -> None:
    values = np.where(SHOP == 1, noisy(2.0), noisy(0.8))
    report = judge(values, None)
    assert [r.slice for r in report.rules if r.rule == "mae" and r.verdict == "fail"] == ["shop=1"]
