"""Stage 9, monitoring: is the version in production still the one that was evaluated?

::

    a check alarms            -> alert
    else a check has no data  -> error      missing data is never good news
    else                      -> ok

``false_alarm`` is shared equally among the kinds of checks that go by chance, and within a kind among what it looks
at: the chance of any false alarm in a window is at most that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from interlock.config import Config
from interlock.contracts import Evaluation, MonitoringCheck, MonitoringReference, MonitoringReport
from interlock.monitoring import quality, service, shift
from interlock.monitoring.bounds import deviate, missing
from interlock.monitoring.statements import SCORE
from interlock.monitoring.window import Window
from interlock.validation.drift import divergence

KINDS = (
    10  # of checks that go by chance: skew, drift, score, nulls, rules, quality, calibration, business, service, split
)


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What is known besides the log. ``split``: percent by version; ``created``: of the model, seconds since 1970.

    ``before``: feature counts of earlier windows of this version, oldest first. ``holdback``: what the look at a
    remaining holdback said, '' where there is none.
    """

    split: Mapping[str, int] = {}
    created: float | None = None
    before: Sequence[Mapping[str, list[int]]] = ()
    holdback: str = ""


def judge_window(
    config: Config,
    *,
    evaluation: Evaluation,
    reference: MonitoringReference | None,
    window: Window,
    surroundings: Surroundings,
) -> MonitoringReport:
    """Every check on one window. ``reference`` is None for a version registered without one: that is missing data."""
    checks = [*_service(config, window, surroundings), *_holdback(surroundings)]
    least, answered = config.monitoring.minimum_rows, window.own.answered
    if answered < least:
        checks.append(missing("missing", f"{answered} answered requests < {least} required"))
    else:
        checks += _answers(config, evaluation, window)
        checks += _inputs(config, reference, window, surroundings)
    alarms = [each.reason for each in checks if each.status == "alarm"]
    absent = [each.reason for each in checks if each.status == "missing"]
    verdict: Literal["ok", "alert", "error"] = "alert" if alarms else "error" if absent else "ok"
    cost = quality.estimate("cost", window.answers.get("", []), config, 0.0) if config.task == "binary" else None
    return MonitoringReport(
        endpoint=config.name,
        version=window.version,
        since=window.since,
        until=window.until,
        requests=window.own.requests,
        failed=window.own.failed,
        with_outcome=window.total("known"),
        cost=cost.value if cost else None,
        expected_cost=next((m.value for m in evaluation.measures if m.metric == "cost" and not m.slice), None),
        score_divergence=_score_divergence(reference, window),
        verdict=verdict,
        reasons=[*alarms, *absent],
        checks=checks,
        versions={version: each.requests for version, each in sorted(window.traffic.items())},
    )


def _service(config: Config, window: Window, surroundings: Surroundings) -> list[MonitoringCheck]:
    z = _deviate(config, 2)
    return [
        *service.error_checks(config, window, z),
        *service.latency_checks(config, window, z),
        *service.traffic_checks(config, window, surroundings.split, _deviate(config, 2 * max(len(window.traffic), 1))),
        *service.staleness_checks(config, window, surroundings.created),
    ]


def _holdback(surroundings: Surroundings) -> list[MonitoringCheck]:
    said = surroundings.holdback
    if not said:
        return []
    if said == "inconclusive":
        return [missing("holdback", "the holdback could not be compared: no evidence")]
    worse = said == "rolled back"
    reason = "shown worse than the holdback: rolled back" if worse else "not shown worse than the holdback"
    return [MonitoringCheck(check="holdback", status="alarm" if worse else "ok", reason=reason)]


def _answers(config: Config, evaluation: Evaluation, window: Window) -> list[MonitoringCheck]:
    if config.task != "binary":
        return []  # outcomes are 0 or 1: other tasks have no delayed labels here
    looks = len(config.monitoring.quality) * max(len(window.answers), 1)
    return [
        *quality.quality_checks(config, evaluation, window, _deviate(config, looks)),
        *quality.calibration_checks(config, evaluation, window, _deviate(config, 2 * quality.CALIBRATION_GROUPS)),
        *quality.business_checks(config, evaluation, window, _deviate(config, 1)),
    ]


def _inputs(
    config: Config, reference: MonitoringReference | None, window: Window, surroundings: Surroundings
) -> list[MonitoringCheck]:
    checks = service.rule_checks(config, window, _deviate(config, len(config.monitoring.ranges) + 2))
    if reference is None:
        return [*checks, missing("skew", f"version {window.version} has no monitoring reference: train it again")]
    level = _level(config)
    checks += shift.skew_checks(config, reference, window, level)
    checks += shift.score_checks(config, reference, window, level)
    checks += shift.null_checks(config, reference, window, level)
    if config.monitoring.baseline_windows:
        checks += shift.drift_checks(config, window, surroundings.before, level)
    return checks


def _level(config: Config) -> float:
    return config.monitoring.false_alarm / KINDS


def _deviate(config: Config, looks: int) -> float:
    return deviate(_level(config) / max(looks, 1))


def _score_divergence(reference: MonitoringReference | None, window: Window) -> float | None:
    import numpy as np

    if reference is None or reference.score is None or sum(window.features.get(SCORE, [])) == 0:
        return None
    then = np.array(reference.score.pieces, dtype=float).sum(axis=0)
    return float(divergence(then, np.array(window.features[SCORE], dtype=float)))
