"""The verdict: what moved is an alarm with its inequality, and missing data is never good news."""

import msgspec
import pytest

from interlock.monitoring.judge import Surroundings, judge_window
from interlock.monitoring.window import Traffic, count_window

from .conftest import NOW, draw, log, use_case

AROUND = Surroundings(split={"1": 100}, created=NOW - 86_400)


def judged(engine, config, evaluation, reference, surroundings=AROUND):
    window = count_window(engine, config, reference, version="1", since=NOW - 3600, until=NOW)
    return judge_window(config, evaluation=evaluation, reference=reference, window=window, surroundings=surroundings)


def alarms(report):
    return {(check.check, check.about) for check in report.checks if check.status == "alarm"}


def test_the_same_as_before_is_ok(engine, config, evaluation, reference):
    log(engine, draw(11, 3000))
    report = judged(engine, config, evaluation, reference)
    assert report.verdict == "ok", report.reasons
    kinds = {check.check for check in report.checks}
    assert kinds >= {"skew", "score", "nulls", "rules", "quality", "calibration", "business", "latency", "errors"}
    assert {check.about for check in report.checks if check.check == "quality"} == {"auc", "kind=a", "kind=b"}
    assert report.score_divergence < 0.01


@pytest.mark.parametrize(
    ("rows", "logged", "expected"),
    [
        (draw(12, 3000, shift=0.8), {}, {("skew", "x"), ("score", "score")}),
        (draw(12, 3000, missing=0.1), {}, {("nulls", "x")}),
        (draw(12, 3000, kinds="abc"), {}, {("nulls", "kind"), ("skew", "kind")}),
        (draw(12, 3000), {"latency": 400}, {("latency", "")}),
    ],
)
def test_what_moved_is_an_alarm(engine, config, evaluation, reference, rows, logged, expected):
    log(engine, rows, **logged)
    report = judged(engine, config, evaluation, reference)
    assert report.verdict == "alert"
    assert expected <= alarms(report)
    assert all(any(sign in reason for sign in ("> ", "< ")) for reason in report.reasons)


def with_gaps(reference, shares):
    """The reference, with ``x`` missing in so large a share of the first days."""
    x, *rest = reference.features
    pieces = [list(day) for day in x.pieces]
    for day, share in zip(pieces, shares, strict=False):
        lost = [int(n * share) for n in day[:-1]]
        day[:-1], day[-1] = [n - gone for n, gone in zip(day[:-1], lost, strict=True)], sum(lost)
    return msgspec.structs.replace(reference, features=[msgspec.structs.replace(x, pieces=pieces), *rest])


@pytest.mark.parametrize(("missing", "alarm"), [(0.0, False), (0.25, False), (1.0, True)])
def test_gaps_as_on_training_days_are_no_alarm_and_a_lost_feature_is(
    engine, config, evaluation, reference, missing, alarm
):
    log(engine, draw(12, 3000, missing=missing))
    window = count_window(engine, config, reference, version="1", since=NOW - 86_400, until=NOW)
    gaps = with_gaps(reference, [0.1, 0.0, 0.3, 0.05, 0.2])
    report = judge_window(config, evaluation=evaluation, reference=gaps, window=window, surroundings=AROUND)
    assert (("nulls", "x") in alarms(report)) is alarm
    even = judge_window(config, evaluation=evaluation, reference=reference, window=window, surroundings=AROUND)
    assert (("nulls", "x") in alarms(even)) is (missing > 0)  # days without gaps allow none


def test_a_longer_window_is_compared_with_longer_stretches(engine, config, evaluation, reference):
    log(engine, draw(12, 3000, missing=0.25))
    gaps = with_gaps(reference, [0.3, 0.0] * 15)  # every other day, so that no two days have as many
    for days, alarm in ((1, False), (2, True)):
        window = count_window(engine, config, reference, version="1", since=NOW - days * 86_400, until=NOW)
        report = judge_window(config, evaluation=evaluation, reference=gaps, window=window, surroundings=AROUND)
        assert (("nulls", "x") in alarms(report)) is alarm


def test_a_model_that_is_wrong_now(engine, config, evaluation, reference):
    rows = [(x, kind, score, predicted, 1 - outcome if i % 3 == 0 else outcome)
            for i, (x, kind, score, predicted, outcome) in enumerate(draw(13, 4000))]  # fmt: skip
    log(engine, rows)
    report = judged(engine, config, evaluation, reference)
    assert {("quality", "auc"), ("quality", "kind=a"), ("business", "cost")} <= alarms(report)
    assert any(name == "calibration" for name, _ in alarms(report))
    assert not any(name in ("skew", "score") for name, _ in alarms(report))
    assert report.cost > report.expected_cost


def test_failures_and_refusals(engine, config, evaluation, reference):
    log(engine, draw(14, 1000))
    log(engine, draw(15, 60), status=503, key="failed", outcome=False)
    log(engine, draw(16, 60), status=400, key="refused", outcome=False)
    assert {("errors", ""), ("rules", "requests")} <= alarms(judged(engine, config, evaluation, reference))


def test_declared_ranges(engine, evaluation, reference):
    config = use_case("ranges: [{feature: x, least: -2, most: 2, at_most: 0.01}]")
    log(engine, draw(17, 2000))
    report = judged(engine, config, evaluation, reference)
    assert alarms(report) == {("rules", "x")}
    assert "not -2 <= x <= 2: " in report.reasons[0]


def test_traffic_that_is_not_split_as_set(engine, config, evaluation, reference):
    log(engine, draw(18, 1000))
    log(engine, draw(19, 600), version="2", key="other", outcome=False)
    report = judged(engine, config, evaluation, reference)
    assert {("traffic", "1"), ("traffic", "2")} <= alarms(report)
    assert report.versions == {"1": 1000, "2": 600}
    even = msgspec.structs.replace(AROUND, split={"1": 62, "2": 38})
    assert not {name for name, _ in alarms(judged(engine, config, evaluation, reference, even))} & {"traffic"}


@pytest.mark.parametrize(
    ("n", "logged", "reason"),
    [
        (0, {}, "0 answered requests < 100 required"),
        (99, {}, "99 answered requests < 100 required"),
        (500, {"outcome": False}, "outcome feed: nothing there"),
        (500, {"outcome": False}, "no outcomes to measure it by"),
    ],
)
def test_missing_data_is_never_ok(engine, config, evaluation, reference, n, logged, reason):
    if n:
        log(engine, draw(20, n), **logged)
    report = judged(engine, config, evaluation, reference)
    assert report.verdict != "ok"
    assert any(reason in text for text in report.reasons), report.reasons


def test_without_a_reference_or_a_split(engine, config, evaluation, reference):
    log(engine, draw(21, 500))
    report = judged(engine, config, evaluation, reference, Surroundings())
    assert report.verdict == "error"
    assert "the endpoint has no traffic split: no version answers" in report.reasons
    window = count_window(engine, config, reference, version="1", since=NOW - 3600, until=NOW)
    report = judge_window(config, evaluation=evaluation, reference=None, window=window, surroundings=AROUND)
    assert report.verdict == "error"
    assert "version 1 has no monitoring reference: train it again" in report.reasons


def test_staleness_of_outcomes_and_model(engine, evaluation, reference):
    config = use_case("model_days: 0.5\n  outcome_hours: 0.1")
    log(engine, draw(22, 500))
    log(engine, draw(23, 500), key="unknown", outcome=False)
    report = judged(engine, config, evaluation, reference)
    assert {("staleness", "model"), ("staleness", "outcome feed"), ("staleness", "outcomes")} <= alarms(report)


def test_drift_needs_and_uses_the_windows_before(engine, evaluation, reference):
    config = use_case("baseline_windows: 20\n  effect: 0.001")
    log(engine, draw(24, 2000, shift=0.4))
    same = [count_window_of(draw(100 + i, 2000), reference) for i in range(20)]
    report = judged(engine, config, evaluation, reference)
    assert "0 windows before this one < 20 required" in report.reasons
    report = judged(engine, config, evaluation, reference, msgspec.structs.replace(AROUND, before=same))
    assert ("drift", "x") in alarms(report)
    moved = [count_window_of(draw(200 + i, 2000, shift=0.4), reference) for i in range(20)]
    report = judged(engine, config, evaluation, reference, msgspec.structs.replace(AROUND, before=moved))
    assert not any(name == "drift" for name, _ in alarms(report))


def count_window_of(rows, reference):
    """Feature counts of rows, without a database."""
    import numpy as np

    from interlock.monitoring.statements import SCORE

    def binned(values, edges):
        return [*np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1).tolist(), 0]

    kinds = [row[1] for row in rows]
    return {
        "x": binned([row[0] for row in rows], reference.features[0].edges),
        "kind": [kinds.count("a"), kinds.count("b"), 0, 0],
        SCORE: binned([row[2] for row in rows], reference.score.edges),
    }


@pytest.mark.parametrize(
    ("said", "status"), [("rolled back", "alarm"), ("inconclusive", "missing"), ("passed", "ok"), ("", None)]
)
def test_holdback(engine, config, evaluation, reference, said, status):
    log(engine, draw(25, 500))
    report = judged(engine, config, evaluation, reference, msgspec.structs.replace(AROUND, holdback=said))
    assert next((check.status for check in report.checks if check.check == "holdback"), None) == status


def test_false_alarms_are_rare(engine, config, evaluation, reference):
    """A hundred windows of the same process: at 1 % per window, five or more happen once in 290 runs."""
    found = 0
    for i in range(100):
        now = NOW + 10_000 * i
        log(engine, draw(1000 + i, 300), at=now - 10, key=f"w{i}-")
        window = count_window(engine, config, reference, version="1", since=now - 3600, until=now)
        report = judge_window(config, evaluation=evaluation, reference=reference, window=window, surroundings=AROUND)
        found += bool(alarms(report))
    assert found <= 4


def test_a_log_without_latency_is_not_taken_for_a_fast_one(engine, config, evaluation, reference):
    log(engine, draw(27, 500))
    window = count_window(engine, config, reference, version="1", since=NOW - 3600, until=NOW)
    untimed = msgspec.structs.replace(window.own, timed=0, slow=0)
    window = msgspec.structs.replace(window, traffic={"1": untimed})

    def latency(case):
        report = judge_window(case, evaluation=evaluation, reference=reference, window=window, surroundings=AROUND)
        return [(each.status, each.reason) for each in report.checks if each.check == "latency"]

    told = "no latency in the log for 500 answers: set monitoring.slow_ms to null where it has none"
    assert latency(config) == [("missing", told)]
    assert latency(use_case("slow_ms: null")) == []


def test_own_counts_default_to_nothing():
    assert Traffic() == Traffic(requests=0, answered=0, failed=0, refused=0, timed=0, slow=0)
