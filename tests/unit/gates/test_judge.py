"""What closes a gate and what does not."""

from __future__ import annotations

import datetime
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from interlock.config import Config, Waiver, parse_config
from interlock.contracts import Anomaly, DataVerdict, Evaluation, GateReport, Manifest, RuleResult
from interlock.errors import ConfigError, ContractError
from interlock.gates.judge import judge_candidate

Judge = Callable[[Evaluation], GateReport]
TODAY = datetime.date(2025, 3, 1)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def judge(gate_config: Config, data_verdict: DataVerdict, model_manifest: Manifest) -> Judge:
    def of(evaluation: Evaluation) -> GateReport:
        return judge_candidate(
            gate_config, verdict=data_verdict, manifest=model_manifest, evaluation=evaluation, today=TODAY
        )

    return of


def rule(report: GateReport, gate: str, name: str = "auc", where: str = "") -> RuleResult:
    return next(r for r in report.rules if (r.gate, r.rule, r.slice) == (gate, name, where))


def noisy(rows: Any, amount: float) -> np.ndarray:
    return rows.logits + np.random.default_rng(1).normal(0, amount, len(rows.logits))


def test_a_sound_first_version_passes(judge: Judge, evaluated: Any, rows: Any) -> None:
    report = judge(evaluated(rows.logits))
    assert report.passed
    assert rule(report, "regression").reason == "no champion yet: first version"
    assert rule(report, "metrics").reason.startswith("auc 0.9")
    assert [r.gate for r in report.rules] == ["data", *["metrics"] * 5, *["regression"] * 2, "latency", "size"]


def test_equal_inputs_give_equal_bytes(judge: Judge, evaluated: Any, rows: Any) -> None:
    reports = [judge(evaluated(rows.logits, noisy(rows, 0.1))) for _ in range(2)]
    assert msgspec.json.encode(reports[0]) == msgspec.json.encode(reports[1])


def test_a_model_against_itself_is_neither_better_nor_worse(judge: Judge, evaluated: Any, rows: Any) -> None:
    report = judge(evaluated(rows.logits, rows.logits))
    found = rule(report, "regression")
    assert report.passed
    assert found.value == 0.0
    assert "difference +0.0000, lower 95 % bound 0.0000 >= -0.0" in found.reason


def test_swapping_champion_and_candidate_flips_the_verdict(judge: Judge, evaluated: Any, rows: Any) -> None:
    worse = noisy(rows, 1.0)
    assert rule(judge(evaluated(rows.logits, worse)), "regression").verdict == "pass"
    flipped = judge(evaluated(worse, rows.logits))
    assert rule(flipped, "regression").verdict == "fail"
    assert not flipped.passed


def test_good_overall_and_bad_for_one_shop_fails(judge: Judge, evaluated: Any, rows: Any) -> None:
    bad = np.where(rows.shop == 2, rows.logits - 1.3 * rows.labels, rows.logits)
    report = judge(evaluated(bad, rows.logits))
    assert rule(report, "metrics").verdict == "pass"
    assert not report.passed
    for gate in ("metrics", "regression"):
        closed = [r.slice for r in report.rules if r.gate == gate and r.slice and r.verdict == "fail"]
        assert closed == ["shop=c"]
    assert "Holm, 8 tests" in rule(report, "metrics", where="shop=c").reason


def test_a_leak_passes_offline(judge: Judge, evaluated: Any, rows: Any) -> None:
    """Nothing in held-out rows can show that an input will be missing when asked live: the canary finds it."""
    assert judge(evaluated(rows.logits + 3 * rows.labels, rows.logits)).passed


def test_shuffled_labels_fail(judge: Judge, evaluated: Any, rows: Any) -> None:
    report = judge(evaluated(np.random.default_rng(2).permutation(rows.logits)))
    assert rule(report, "metrics").verdict == "fail"
    assert not report.passed


def test_a_slice_at_its_limit_is_not_enough_data_and_does_not_close(
    judge: Judge, evaluated: Any, rows: Any, gate_config: Config, data_verdict: DataVerdict, model_manifest: Manifest
) -> None:
    evaluation = evaluated(rows.logits)
    value = next(m.value for m in evaluation.measures if m.slice == "shop=a" and m.metric == "auc")
    assert value is not None
    for on, verdict, blocking in (("harm", "not enough data", False), ("bound", "fail", True)):
        changed = msgspec.structs.replace(gate_config.gates.metrics[1], at_least=value + 0.001, on=on)
        gates = msgspec.structs.replace(gate_config.gates, metrics=[changed])
        report = judge_candidate(
            msgspec.structs.replace(gate_config, gates=gates),
            verdict=data_verdict,
            manifest=model_manifest,
            evaluation=evaluation,
        )
        found = rule(report, "metrics", where="shop=a")
        assert (found.verdict, found.blocking) == (verdict, blocking)


@pytest.mark.parametrize(("policy", "blocking"), [("fail", True), ("pass", False)])
def test_too_few_rows_follow_the_declared_policy(
    evaluated: Any,
    rows: Any,
    gate_config: Config,
    data_verdict: DataVerdict,
    model_manifest: Manifest,
    policy: str,
    blocking: bool,
) -> None:
    changed = msgspec.structs.replace(gate_config.gates.metrics[1], minimum_rows=5000, too_few=policy)
    gates = msgspec.structs.replace(gate_config.gates, metrics=[changed])
    report = judge_candidate(
        msgspec.structs.replace(gate_config, gates=gates),
        verdict=data_verdict,
        manifest=model_manifest,
        evaluation=evaluated(rows.logits),
    )
    found = rule(report, "metrics", where="shop=a")
    assert (found.verdict, found.blocking) == ("not enough data", blocking)
    assert "rows < 5000 required" in found.reason
    assert report.passed is not blocking


def test_an_undefined_metric_closes_whatever_the_policy(judge: Judge, evaluated: Any, rows: Any) -> None:
    evaluation = evaluated(rows.logits)
    blind = [msgspec.structs.replace(m, value=None, low=None, high=None) for m in evaluation.measures]
    assert not judge(msgspec.structs.replace(evaluation, measures=blind)).passed


def test_a_rule_that_was_not_measured_closes(judge: Judge, evaluated: Any, rows: Any) -> None:
    report = judge(msgspec.structs.replace(evaluated(rows.logits), measures=[]))
    assert rule(report, "metrics", where="shop").verdict == "fail"
    assert "evaluate again" in rule(report, "metrics").reason


@pytest.mark.parametrize(("policy", "passed"), [("fail", False), ("pass", True)])
def test_a_champion_that_cannot_be_scored_follows_the_declared_policy(
    evaluated: Any,
    rows: Any,
    gate_config: Config,
    data_verdict: DataVerdict,
    model_manifest: Manifest,
    policy: str,
    passed: bool,
) -> None:
    evaluation = msgspec.structs.replace(
        evaluated(rows.logits), champion="7", champion_unscorable="its inputs weight are not in the features"
    )
    gates = msgspec.structs.replace(gate_config.gates, unscorable_champion=policy)
    report = judge_candidate(
        msgspec.structs.replace(gate_config, gates=gates),
        verdict=data_verdict,
        manifest=model_manifest,
        evaluation=evaluation,
    )
    found = rule(report, "regression")
    assert found.verdict == "not enough data"
    assert "champion 7 cannot be scored: its inputs weight" in found.reason
    assert report.passed is passed


def test_latency_size_and_data_close(
    judge: Judge, evaluated: Any, rows: Any, gate_config: Config, data_verdict: DataVerdict, model_manifest: Manifest
) -> None:
    report = judge(msgspec.structs.replace(evaluated(rows.logits), latencies=[], size_bytes=5_000_001))
    assert [r.gate for r in report.rules if r.verdict == "fail"] == ["latency", "size"]
    broken = msgspec.structs.replace(
        data_verdict, passed=False, anomalies=[Anomaly("load", "all_null", "0", ">= 1", "load has no value")]
    )
    report = judge_candidate(gate_config, verdict=broken, manifest=model_manifest, evaluation=evaluated(rows.logits))
    assert not report.passed
    assert "load has no value" in report.rules[0].reason


@pytest.mark.parametrize(
    ("expires", "passed", "said"), [("2025-03-01", True, ""), ("2025-02-28", False, "expired on 2025-02-28")]
)
def test_a_waiver_opens_one_rule_until_its_last_day(
    evaluated: Any,
    rows: Any,
    gate_config: Config,
    data_verdict: DataVerdict,
    model_manifest: Manifest,
    expires: str,
    passed: bool,
    said: str,
) -> None:
    waiver = Waiver(
        gate="size",
        rule="size_megabytes",
        owner="ada@example.com",
        reason="until the disk is larger",
        expires=datetime.date.fromisoformat(expires),
    )
    gates = msgspec.structs.replace(gate_config.gates, waivers=[waiver])
    report = judge_candidate(
        msgspec.structs.replace(gate_config, gates=gates),
        verdict=data_verdict,
        manifest=model_manifest,
        evaluation=msgspec.structs.replace(evaluated(rows.logits), size_bytes=9_000_000),
        today=TODAY,
    )
    found = rule(report, "size", "size_megabytes")
    assert found.verdict == "fail"
    assert report.passed is passed
    assert said in found.reason
    assert (found.waiver == "ada@example.com until 2025-03-01: until the disk is larger") is passed


def test_files_about_another_model_or_table_are_refused(
    judge: Judge, evaluated: Any, rows: Any, gate_config: Config, data_verdict: DataVerdict, model_manifest: Manifest
) -> None:
    evaluation = evaluated(rows.logits)
    with pytest.raises(ContractError, match="evaluation is about model other"):
        judge(msgspec.structs.replace(evaluation, model_sha256="other"))
    other = msgspec.structs.replace(data_verdict, table_sha256="another")
    with pytest.raises(ContractError, match="data verdict is about table another"):
        judge_candidate(gate_config, verdict=other, manifest=model_manifest, evaluation=evaluation)


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("metrics: [{metric: auc, at_least: 0.6}]", "metrics: []", "gates.metrics"),
        ("metric: auc, at_least: 0.6", "metric: accuracy, at_least: 0.6", "accuracy"),
        ("metric: auc, at_least: 0.6", "metric: auc, slice: load, at_least: 0.6", "'load' is not a slice"),
        ("metric: auc, within: 0.02", "metric: auc, slice: load, within: 0.02", "'load' is not a slice"),
        ("slice_pairs: [[shop, region]]", "slice_pairs: [[shop, load]]", r"slice_pairs\[0\]"),
        ("at_least: 0.6", "at_least: 0.6, at_most: 0.9", "exactly one"),
    ],
)
def test_rules_that_mean_nothing_are_refused_before_training(was: str, becomes: str, said: str) -> None:
    text = _config_text()
    assert was in text
    with pytest.raises(ConfigError, match=said):
        parse_config(text.replace(was, becomes))


def _config_text() -> str:
    source = (ROOT / "tests" / "unit" / "conftest.py").read_text()
    return source.partition('CONFIG = """')[2].partition('"""')[0]


def test_a_rule_on_a_pair_of_slices_is_understood() -> None:
    text = _config_text().replace("{metric: auc, at_least: 0.6}", "{metric: auc, slice: shop&region, at_least: 0.6}")
    assert parse_config(text).gates.metrics[0].proves == "harm"


def test_sound_candidates_pass_and_broken_slices_are_found(orders_config: Config) -> None:
    """The benchmark's simulation, small: of 20 at their very limits a false alarm is likelier than 5 % by luck only."""
    spec = importlib.util.spec_from_file_location("bench_gates", ROOT / "benchmarks" / "gates.py")
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    found = bench.simulate(orders_config, 20)
    assert found["false_fail"] <= 4 / 20  # P(more | 0.05) = 0.003
    assert found["power_10_points"] >= 17 / 20  # P(fewer | 0.95) = 0.016 at the least power that is asked
    assert found["uncorrected_false_fail"] > 0.5
