"""Latency and size: limits on what the real model server was measured to take.

A latency passes on its upper 95 % bound. Size, memory and load time are read once and have no bound.
"""

from __future__ import annotations

from collections.abc import Iterator

from interlock.config import Config
from interlock.contracts import Evaluation, Latency, RuleResult
from interlock.gates.rules import FAIL, NOT_ENOUGH, PASS

CANDIDATE = "candidate"
MEGABYTE = 1e6


def latency_gate(config: Config, evaluation: Evaluation) -> Iterator[RuleResult]:
    """p99 of one-row requests; of batches and against the champion's if the config asks."""
    gates = config.gates
    yield _p99("latency_p99_ms", gates.latency_p99_ms, evaluation, rows=1)
    if gates.latency_batch_p99_ms is not None:
        yield _p99("latency_batch_p99_ms", gates.latency_batch_p99_ms, evaluation, rows=gates.latency_batch_rows)
    if gates.latency_p99_ratio is not None:
        yield _ratio(gates.latency_p99_ratio, evaluation)


def _p99(rule: str, limit: float, evaluation: Evaluation, *, rows: int) -> RuleResult:
    found = next((one for one in evaluation.latencies if (one.model, one.rows) == (CANDIDATE, rows)), None)
    if found is None:
        reason = f"requests of {rows} rows are not in the evaluation: evaluate again"
        return RuleResult(gate="latency", rule=rule, limit=limit, verdict=FAIL, reason=reason)
    said = f"p99 {found.p99_ms:.2f} ms over {found.requests} requests of {_rows(found)}"
    if found.p99_high is None:
        reason = f"{said}: too few for an upper 95 % bound"
        return RuleResult(gate="latency", rule=rule, value=found.p99_ms, limit=limit, verdict=NOT_ENOUGH, reason=reason)
    passed = found.p99_high <= limit
    return RuleResult(
        gate="latency",
        rule=rule,
        value=found.p99_ms,
        limit=limit,
        verdict=PASS if passed else FAIL,
        reason=f"{said}, upper 95 % bound {found.p99_high:.2f} ms {'<=' if passed else '>'} {limit:g} ms",
    )


def _rows(found: Latency) -> str:
    return "one row" if found.rows == 1 else f"{found.rows} rows"


def _ratio(limit: float, evaluation: Evaluation) -> RuleResult:
    rule = "latency_p99_ratio"
    if not evaluation.champion:
        return RuleResult(gate="latency", rule=rule, verdict=PASS, reason="no champion yet: first version")
    if not evaluation.latency_p99_ratio:
        reason = f"p99 of version {evaluation.champion} is not in the evaluation: evaluate again"
        return RuleResult(gate="latency", rule=rule, limit=limit, verdict=FAIL, reason=reason)
    value, _, high = evaluation.latency_p99_ratio
    passed = high <= limit
    return RuleResult(
        gate="latency",
        rule=rule,
        value=value,
        limit=limit,
        verdict=PASS if passed else FAIL,
        reason=f"p99 is {value:.2f} x that of version {evaluation.champion}, upper 95 % bound {high:.2f} "
        f"{'<=' if passed else '>'} {limit:g}",
    )


def size_gate(config: Config, evaluation: Evaluation) -> Iterator[RuleResult]:
    """Bytes of the candidate's folder; resident memory and load time if the config asks."""
    gates, memory = config.gates, evaluation.memory_bytes
    yield _at_most("size_megabytes", evaluation.size_bytes / MEGABYTE, gates.size_megabytes, "MB")
    if gates.memory_megabytes is not None:
        value = memory / MEGABYTE if memory is not None else None
        yield _at_most("memory_megabytes", value, gates.memory_megabytes, "MB resident")
    if gates.load_seconds is not None:
        yield _at_most("load_seconds", evaluation.load_seconds, gates.load_seconds, "s to load")


def _at_most(rule: str, value: float | None, limit: float, unit: str) -> RuleResult:
    if value is None:
        reason = f"{rule} could not be read on the machine that evaluated: evaluate on Linux, or remove the rule"
        return RuleResult(gate="size", rule=rule, limit=limit, verdict=NOT_ENOUGH, reason=reason)
    passed = value <= limit
    return RuleResult(
        gate="size",
        rule=rule,
        value=value,
        limit=limit,
        verdict=PASS if passed else FAIL,
        reason=f"{value:.2f} {unit} {'<=' if passed else '>'} {limit:g}",
    )
