"""Stage 6, gates: five gates, each a list of rules, each rule an inequality that explains itself.

A rule decides on its confidence bound, not on its point (:mod:`interlock.gates.rules`). Missing is never good: an
undefined metric, too few rows or an evaluation of another model close the gate, unless the config says otherwise
by name. Equal inputs on the same day give equal reports, byte for byte.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import msgspec

from interlock.config import Config
from interlock.contracts import DataVerdict, Evaluation, GateReport, Manifest, RuleResult
from interlock.errors import ContractError
from interlock.gates.rules import FAIL, PASS, answer, metric_questions, regression_questions
from interlock.gates.speed import latency_gate, size_gate


def judge_candidate(
    config: Config,
    *,
    verdict: DataVerdict,
    manifest: Manifest,
    evaluation: Evaluation,
    today: datetime.date | None = None,
) -> GateReport:
    """Every rule of every gate. Refuses files that are about another model or other data.

    ``today`` (UTC, None = now) is what waivers expire against.
    """
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
        *answer([*metric_questions(config, evaluation), *regression_questions(config, evaluation)]),
        *latency_gate(config, evaluation),
        *size_gate(config, evaluation),
    ]
    day = today or datetime.datetime.now(datetime.UTC).date()
    rules = [rules[0], *(waived(rule, config, day) for rule in rules[1:])]
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


def waived(rule: RuleResult, config: Config, today: datetime.date) -> RuleResult:
    """The rule as a waiver leaves it: open, with owner, reason and last day. An expired waiver only says so."""
    if rule.verdict == PASS or not rule.blocking:
        return rule
    for waiver in config.gates.waivers:
        if (waiver.gate, waiver.rule, waiver.slice) != (rule.gate, rule.rule, rule.slice):
            continue
        if waiver.expires < today:
            reason = f"{rule.reason}; the waiver of {waiver.owner} expired on {waiver.expires}"
            return msgspec.structs.replace(rule, reason=reason)
        text = f"{waiver.owner} until {waiver.expires}: {waiver.reason}"
        return msgspec.structs.replace(rule, blocking=False, waiver=text)
    return rule
