"""Latency, size, memory and load time: what closes their gates."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from interlock.config import Config
from interlock.contracts import Evaluation, RuleResult
from interlock.gates.speed import latency_gate, size_gate


def judged(config: Config, evaluation: Evaluation, **gates: Any) -> dict[str, RuleResult]:
    """Results by rule."""
    changed = msgspec.structs.replace(config, gates=msgspec.structs.replace(config.gates, **gates))
    return {r.rule: r for r in [*latency_gate(changed, evaluation), *size_gate(changed, evaluation)]}


@pytest.fixture
def evaluation(evaluated: Any, rows: Any) -> Evaluation:
    found: Evaluation = evaluated(rows.logits, rows.logits)
    return found


@pytest.mark.parametrize(("limit", "verdict"), [(2.6, "pass"), (2.5, "pass"), (2.4, "fail"), (2.1, "fail")])
def test_the_bound_of_p99_decides_not_the_point(
    gate_config: Config, evaluation: Evaluation, limit: float, verdict: str
) -> None:
    found = judged(gate_config, evaluation, latency_p99_ms=limit)["latency_p99_ms"]
    assert found.verdict == verdict
    assert found.value == 2.0
    assert "p99 2.00 ms over 1000 requests of one row, upper 95 % bound 2.50 ms" in found.reason


def test_batches_have_a_limit_of_their_own(gate_config: Config, evaluation: Evaluation) -> None:
    assert "latency_batch_p99_ms" not in judged(gate_config, evaluation)
    found = judged(gate_config, evaluation, latency_batch_p99_ms=6.5)["latency_batch_p99_ms"]
    assert found.verdict == "fail"
    assert "requests of 64 rows, upper 95 % bound 7.00 ms > 6.5 ms" in found.reason
    other = judged(gate_config, evaluation, latency_batch_p99_ms=6.5, latency_batch_rows=32)["latency_batch_p99_ms"]
    assert "not in the evaluation" in other.reason


def test_too_few_requests_close(gate_config: Config, evaluation: Evaluation, candidate_latency: Any) -> None:
    few = msgspec.structs.replace(evaluation, latencies=[candidate_latency(1, 2.0, None)])
    found = judged(gate_config, few)["latency_p99_ms"]
    assert (found.verdict, found.blocking) == ("not enough data", True)


@pytest.mark.parametrize(
    ("ratio", "champion", "verdict", "said"),
    [
        ([1.2, 0.9, 1.9], "7", "pass", "1.20 x that of version 7, upper 95 % bound 1.90 <= 2"),
        ([1.2, 0.9, 2.1], "7", "fail", "upper 95 % bound 2.10 > 2"),
        ([], "7", "fail", "not in the evaluation"),
        ([], "", "pass", "no champion yet"),
    ],
)
def test_latency_against_the_champions(
    gate_config: Config, evaluation: Evaluation, ratio: list[float], champion: str, verdict: str, said: str
) -> None:
    changed = msgspec.structs.replace(evaluation, latency_p99_ratio=ratio, champion=champion)
    found = judged(gate_config, changed, latency_p99_ratio=2.0)["latency_p99_ratio"]
    assert found.verdict == verdict
    assert said in found.reason


def test_memory_and_load_time_are_limits_where_they_are_asked(gate_config: Config, evaluation: Evaluation) -> None:
    assert set(judged(gate_config, evaluation)) == {"latency_p99_ms", "size_megabytes"}
    found = judged(gate_config, evaluation, memory_megabytes=149.0, load_seconds=0.2)
    assert found["memory_megabytes"].verdict == "fail"
    assert "150.00 MB resident > 149" in found["memory_megabytes"].reason
    assert found["load_seconds"].verdict == "pass"
    unknown = judged(gate_config, msgspec.structs.replace(evaluation, memory_bytes=None), memory_megabytes=200.0)
    assert (unknown["memory_megabytes"].verdict, unknown["memory_megabytes"].blocking) == ("not enough data", True)
