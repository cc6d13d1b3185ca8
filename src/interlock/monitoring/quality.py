"""How good is the version, by the outcomes that have arrived? Quality, calibration and the business metric.

Everything is a loss (1 - auc, 1 - recall, brier, cost), so that "worse" is "higher". An alarm is raised when a loss is
shown to exceed what the evaluation said: its lower bound now exceeds the evaluation's upper bound by the margin.
The area under the curve is taken from score bins; ties within a bin count half, which costs it a few thousandths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from interlock.config import Config
from interlock.contracts import Evaluation, Measure, MonitoringCheck
from interlock.monitoring.bounds import missing, share_bounds
from interlock.monitoring.window import ScoreBin, Window

GAINS = ("auc", "precision", "recall")  # 1 - value is the loss
CALIBRATION_GROUPS = 5
LEAST_OF_A_CLASS = 30


class Estimate(msgspec.Struct, frozen=True):
    """A loss and its bounds."""

    value: float
    low: float
    high: float
    n: int


def quality_checks(config: Config, evaluation: Evaluation, window: Window, z: float) -> list[MonitoringCheck]:
    """Each metric of ``monitoring.quality`` on all rows and on every slice that has enough."""
    checks = []
    for group in window.answers:
        if group and window.total("known", group) < config.monitoring.minimum_rows:
            continue
        for metric in config.monitoring.quality:
            expected = _expected(evaluation, metric, group)
            now = estimate(metric, window.answers[group], config, z)
            if group and (expected is None or now is None):
                continue  # one class only, or a value the evaluation did not meet: no forecast to hold it against
            checks.append(_against(config, "quality", metric, group, expected, now))
    return checks


def business_checks(config: Config, evaluation: Evaluation, window: Window, z: float) -> list[MonitoringCheck]:
    """Cost per request against the evaluation's forecast."""
    expected = _expected(evaluation, "cost", "")
    now = estimate("cost", window.answers.get("", []), config, z)
    return [_against(config, "business", "cost", "", expected, now)]


def calibration_checks(config: Config, evaluation: Evaluation, window: Window, z: float) -> list[MonitoringCheck]:
    """Observed share of outcome 1 against the mean score, in fifths of the score bins."""
    most = max((abs(share - score) for score, share, _ in evaluation.calibration), default=0.0)
    limit = most + config.monitoring.calibration_error
    checks = []
    for part, bins in enumerate(_fifths(window.answers.get("", []))):
        n, hits = sum(each.known for each in bins), sum(each.positives for each in bins)
        if n < LEAST_OF_A_CLASS:
            continue
        score = sum(each.scores for each in bins) / n
        low, high = share_bounds(hits, n, z)
        gap = max(low - score, score - high, 0.0)
        alarm = gap > limit
        reason = (
            f"scores near {score:.3f}: outcome 1 in {hits / n:.1%} of {n}, at least {gap:.3f} away "
            f"{'>' if alarm else '<='} {limit:.3f}"
        )
        checks.append(
            MonitoringCheck(
                check="calibration",
                about=f"fifth {part + 1}",
                status="alarm" if alarm else "ok",
                value=hits / n,
                low=low,
                high=high,
                limit=limit,
                reason=reason,
            )
        )
    return checks or [missing("calibration", "no score bin has enough rows with an outcome")]


def estimate(metric: str, bins: Sequence[ScoreBin], config: Config, z: float) -> Estimate | None:
    """The loss of a metric on these rows; None where they cannot carry it."""
    n, positives = sum(each.known for each in bins), sum(each.positives for each in bins)
    tp, fp, fn = (sum(getattr(each, name) for each in bins) for name in ("tp", "fp", "fn"))
    if n == 0:
        return None
    if metric == "auc":
        return _auc_loss(bins, n, positives, z)
    if metric in ("precision", "recall"):
        of = tp + (fp if metric == "precision" else fn)
        low, high = share_bounds(of - tp, of, z)
        return Estimate((of - tp) / of, low, high, of) if of else None
    if metric == "brier":
        squares, fourths = sum(each.squares for each in bins), sum(each.fourths for each in bins)
        return _mean(squares, fourths, n, z)
    prices = ((fp, config.cost.false_positive), (fn, config.cost.false_negative))
    return _mean(sum(k * price for k, price in prices), sum(k * price**2 for k, price in prices), n, z)


def _mean(total: float, squares: float, n: int, z: float) -> Estimate:
    mean = total / n
    half = z * math.sqrt(max(squares / n - mean**2, 0.0) / n)
    return Estimate(mean, mean - half, mean + half, n)


def _auc_loss(bins: Sequence[ScoreBin], n: int, positives: int, z: float) -> Estimate | None:
    """DeLong 1988 over bins: the mean share of the other class below, and its variance within each class."""
    negatives = n - positives
    if min(positives, negatives) < LEAST_OF_A_CLASS:
        return None
    below_p = below_n = 0
    of_p: list[tuple[int, float]] = []
    of_n: list[tuple[int, float]] = []
    for each in bins:
        p, q = each.positives, each.known - each.positives
        of_p.append((p, (below_n + q / 2) / negatives))
        of_n.append((q, 1 - (below_p + p / 2) / positives))
        below_p, below_n = below_p + p, below_n + q
    auc = sum(count * share for count, share in of_p) / positives
    variance = sum(
        sum(count * (share - auc) ** 2 for count, share in side) / total / total
        for side, total in ((of_p, positives), (of_n, negatives))
    )
    half = z * math.sqrt(variance)
    return Estimate(1 - auc, 1 - auc - half, 1 - auc + half, n)


def _expected(evaluation: Evaluation, metric: str, group: str) -> Estimate | None:
    found = next((m for m in evaluation.measures if m.metric == metric and m.slice == group), None)
    if found is None or found.value is None:
        return None
    value, low, high = _loss(found)
    return Estimate(value, low, high, found.n)


def _loss(measure: Measure) -> tuple[float, float, float]:
    assert measure.value is not None
    low = measure.value if measure.low is None else measure.low
    high = measure.value if measure.high is None else measure.high
    return (1 - measure.value, 1 - high, 1 - low) if measure.metric in GAINS else (measure.value, low, high)


def _against(
    config: Config, check: str, metric: str, group: str, expected: Estimate | None, now: Estimate | None
) -> MonitoringCheck:
    what = metric if not group else f"{metric}, {group}"
    if expected is None:
        return missing(check, f"{what}: the evaluation does not say it: nothing to compare with", group or metric)
    if now is None:
        return missing(check, f"{what}: no outcomes to measure it by", group or metric)
    limit = expected.high * (1 + config.monitoring.margin)
    alarm = now.low > limit
    sign = ">" if alarm else "<="
    if metric in GAINS:  # told as people know it
        seen, best, least = 1 - now.value, 1 - now.low, 1 - limit
        sign = "<" if alarm else ">="
        told = f"{what} {seen:.4f}, at most {best:.4f} {sign} {least:.4f}, the evaluated {1 - expected.value:.4f}"
    else:
        told = f"{what} {now.value:.4f}, at least {now.low:.4f} {sign} {limit:.4f}, the evaluated {expected.value:.4f}"
    return MonitoringCheck(
        check=check,
        about=group or metric,
        status="alarm" if alarm else "ok",
        value=now.value,
        low=now.low,
        high=now.high,
        limit=limit,
        reason=f"{told} and its margin, {now.n} rows",
    )


def _fifths(bins: Sequence[ScoreBin]) -> list[list[ScoreBin]]:
    """Neighbouring bins together, until each part has a fifth of the rows."""
    parts: list[list[ScoreBin]] = [[]]
    rows = sum(each.known for each in bins)
    for each in bins:
        if sum(one.known for one in parts[-1]) >= rows / CALIBRATION_GROUPS:
            parts.append([])
        parts[-1].append(each)
    return parts
