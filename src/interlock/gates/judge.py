"""Stage 6, gates: five gates, each a list of rules, each rule an inequality that explains itself.

A metric rule passes on its confidence bound, not on its point. Missing is never good: an undefined metric, too
few rows or an evaluation of another model close the gate, unless the config says otherwise by name.
"""

from __future__ import annotations

from collections.abc import Iterator

from interlock.config import LOWER_IS_BETTER, Config, MetricRule, RegressionRule
from interlock.contracts import DataVerdict, Evaluation, GateReport, Manifest, Measure, RuleResult
from interlock.errors import ContractError

PASS, FAIL, NOT_ENOUGH = "pass", "fail", "not enough data"


def judge_candidate(config: Config, *, verdict: DataVerdict, manifest: Manifest, evaluation: Evaluation) -> GateReport:
    """Every rule of every gate. Refuses files that are about another model or other data."""
    if evaluation.model_sha256 != manifest.model_sha256:
        raise ContractError(
            f"evaluation is about model {evaluation.model_sha256[:12]}, the candidate is {manifest.model_sha256[:12]}: "
            "evaluate this candidate"
        )
    if verdict.table_sha256 != manifest.table_sha256:
        raise ContractError(
            f"data verdict is about table {verdict.table_sha256[:12]}, the candidate was trained on "
            f"{manifest.table_sha256[:12]}: validate that table"
        )
    rules = [
        *data_gate(verdict),
        *metrics_gate(config, evaluation),
        *regression_gate(config, evaluation),
        *latency_gate(config, evaluation),
        *size_gate(config, evaluation),
    ]
    return GateReport(
        passed=all(rule.verdict == PASS or not rule.blocking for rule in rules),
        model_sha256=manifest.model_sha256,
        champion=evaluation.champion,
        rules=rules,
    )


def data_gate(verdict: DataVerdict) -> Iterator[RuleResult]:
    """One rule: no blocking anomaly."""
    blocking = [anomaly for anomaly in verdict.anomalies if anomaly.blocking]
    reason = f"{len(blocking)} blocking anomalies in {verdict.rows} rows, 0 allowed"
    if blocking:
        reason += f"; first: {blocking[0].feature or 'table'}: {blocking[0].reason}"
    yield RuleResult(
        gate="data",
        rule="anomalies",
        value=float(len(blocking)),
        limit=0.0,
        verdict=PASS if verdict.passed and not blocking else FAIL,
        reason=reason,
    )


def metrics_gate(config: Config, evaluation: Evaluation) -> Iterator[RuleResult]:
    """One result per rule and slice value."""
    for rule in config.gates.metrics:
        found = [m for m in evaluation.measures if m.metric == rule.metric and _covers(rule, m)]
        if not found:
            reason = f"{rule.metric} on {rule.slice or 'all rows'} is not in the evaluation: evaluate again"
            yield RuleResult(gate="metrics", rule=rule.metric, slice=rule.slice, verdict=FAIL, reason=reason)
        for measure in found:
            yield _metric_result(rule, measure)


def _covers(rule: MetricRule, measure: Measure) -> bool:
    return measure.slice == "" if not rule.slice else measure.slice.startswith(f"{rule.slice}=")


def _metric_result(rule: MetricRule, measure: Measure) -> RuleResult:
    limit = rule.at_least if rule.at_least is not None else rule.at_most
    bound = measure.low if rule.at_least is not None else measure.high
    assert limit is not None
    blocking = True
    if measure.n < rule.minimum_rows or bound is None or measure.value is None:
        few = f"{measure.n} rows < {rule.minimum_rows} required" if measure.n < rule.minimum_rows else "undefined here"
        verdict = NOT_ENOUGH
        blocking = rule.too_few == "fail" or measure.n >= rule.minimum_rows
        reason = f"{rule.metric} not judged: {few}; config says too_few: {rule.too_few}"
    elif rule.at_least is not None:
        verdict = PASS if bound >= limit else FAIL
        sign = ">=" if verdict == PASS else "<"
        reason = f"{rule.metric} {measure.value:.4f}, lower 95 % bound {bound:.4f} {sign} {limit:g}"
    else:
        verdict = PASS if bound <= limit else FAIL
        sign = "<=" if verdict == PASS else ">"
        reason = f"{rule.metric} {measure.value:.4f}, upper 95 % bound {bound:.4f} {sign} {limit:g}"
    return RuleResult(
        gate="metrics",
        rule=rule.metric,
        slice=measure.slice,
        value=measure.value,
        limit=limit,
        verdict=verdict,
        reason=reason,
        blocking=blocking,
    )


def regression_gate(config: Config, evaluation: Evaluation) -> Iterator[RuleResult]:
    """Non-inferiority to the champion. Without a champion each rule passes and says why."""
    for rule in config.gates.regression:
        if not evaluation.champion:
            yield RuleResult(gate="regression", rule=rule.metric, verdict=PASS, reason="no champion yet: first version")
        else:
            yield _regression_result(rule, evaluation)


def _regression_result(rule: RegressionRule, evaluation: Evaluation) -> RuleResult:
    found = next((c for c in evaluation.comparisons if c.metric == rule.metric), None)
    if found is None or found.champion is None or found.low is None or found.high is None:
        reason = f"{rule.metric} of candidate and champion {evaluation.champion} cannot be compared on these rows"
        return RuleResult(gate="regression", rule=rule.metric, verdict=NOT_ENOUGH, reason=reason)
    room = rule.within * abs(found.champion)
    lower_is_better = rule.metric in LOWER_IS_BETTER
    bound, limit = (found.high, room) if lower_is_better else (found.low, -room)
    passed = bound <= limit if lower_is_better else bound >= limit
    sign = ("<=" if passed else ">") if lower_is_better else (">=" if passed else "<")
    side = "upper" if lower_is_better else "lower"
    reason = (
        f"{rule.metric} {found.candidate:.4f} against {found.champion:.4f} of version {evaluation.champion}: "
        f"{side} 95 % bound of the difference {bound:+.4f} {sign} {limit:+.4f}"
    )
    return RuleResult(
        gate="regression",
        rule=rule.metric,
        value=found.difference,
        limit=limit,
        verdict=PASS if passed else FAIL,
        reason=reason,
    )


def latency_gate(config: Config, evaluation: Evaluation) -> Iterator[RuleResult]:
    """p99 of single-row requests in the real model server."""
    value, limit = evaluation.latency_p99_ms, config.gates.latency_p99_ms
    passed = value <= limit
    yield RuleResult(
        gate="latency",
        rule="latency_p99_ms",
        value=value,
        limit=limit,
        verdict=PASS if passed else FAIL,
        reason=f"p99 {value:.2f} ms {'<=' if passed else '>'} {limit:g} ms over {evaluation.latency_requests} requests",
    )


def size_gate(config: Config, evaluation: Evaluation) -> Iterator[RuleResult]:
    """Bytes of the candidate's folder."""
    value, limit = evaluation.size_bytes / 1e6, config.gates.size_megabytes
    passed = value <= limit
    yield RuleResult(
        gate="size",
        rule="size_megabytes",
        value=value,
        limit=limit,
        verdict=PASS if passed else FAIL,
        reason=f"{value:.2f} MB {'<=' if passed else '>'} {limit:g} MB",
    )
