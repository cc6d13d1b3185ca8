"""Have features or score moved? Against the training rows (skew), and against the windows before (drift).

The method is data validation's, :func:`interlock.validation.drift.detect_drift`: what chance allows is learnt from
windows of the same length cut out of the reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from interlock.config import Config
from interlock.contracts import BinnedColumn, FeatureDrift, MonitoringCheck, MonitoringReference
from interlock.errors import InputError
from interlock.monitoring.bounds import missing, share_check
from interlock.monitoring.statements import SCORE
from interlock.monitoring.window import Window
from interlock.validation.drift import FeatureCounts, detect_drift

RESAMPLES = 1000


def skew_checks(config: Config, reference: MonitoringReference, window: Window, level: float) -> list[MonitoringCheck]:
    """Every feature against the rows the version was trained on."""
    columns = {each.name: each for each in reference.features}
    return _compared(config, columns, window, "skew", reference.piece_hours, level)


def score_checks(config: Config, reference: MonitoringReference, window: Window, level: float) -> list[MonitoringCheck]:
    """The score against that of rows the version was not fitted to."""
    if reference.score is None:
        return []
    return _compared(config, {SCORE: reference.score}, window, "score", reference.piece_hours, level)


def drift_checks(
    config: Config, window: Window, before: Sequence[Mapping[str, list[int]]], level: float
) -> list[MonitoringCheck]:
    """Features and score against the windows before, oldest first, as monitoring counted them."""
    least = config.monitoring.baseline_windows
    if len(before) < least:
        return [missing("drift", f"{len(before)} windows before this one < {least} required")]
    counts = [
        FeatureCounts(
            feature=name,
            reference=np.array([each[name] for each in before], dtype=float),
            current=np.array([now], dtype=float),
        )
        for name, now in window.features.items()
    ]
    return _judged(config, counts, "drift", level)


def null_checks(config: Config, reference: MonitoringReference, window: Window, z: float) -> list[MonitoringCheck]:
    """Share of null and of unknown values against the training rows', plus the margin."""
    checks = []
    for column in reference.features:
        now, then = window.features[column.name], np.array(column.pieces).sum(axis=0)
        for place, what in ((-1, "null"), (-2, "unknown")):
            if what == "unknown" and not column.values:
                continue
            limit = float(then[place] / max(then.sum(), 1)) + config.monitoring.null_margin
            shown = f"{column.name}, {what}"
            checks.append(share_check("nulls", column.name, now[place], sum(now), limit=limit, z=z, what=shown))
    return checks


def _compared(
    config: Config, columns: Mapping[str, BinnedColumn], window: Window, check: str, piece_hours: float, level: float
) -> list[MonitoringCheck]:
    length = (window.until - window.since) / 3600
    pieces = max(1, round(length / piece_hours)) if piece_hours else 1
    counts = []
    for name, column in columns.items():
        then = np.array(column.pieces, dtype=float)
        now = np.array(window.features[name], dtype=float)
        current = np.tile(now / pieces, (min(pieces, len(then) // 2) or 1, 1))
        counts.append(FeatureCounts(feature=name, reference=then, current=current))
    return _judged(config, counts, check, level)


def _judged(config: Config, counts: Sequence[FeatureCounts], check: str, level: float) -> list[MonitoringCheck]:
    try:
        found = detect_drift(
            counts, false_alarm=level, effect=config.monitoring.effect, resamples=RESAMPLES, seed=config.seed
        )
    except InputError as error:
        return [missing(check, f"{error}")]
    return [_check(config, check, each) for each in found]


def _check(config: Config, check: str, found: FeatureDrift) -> MonitoringCheck:
    limit = min(found.limit, config.monitoring.drift_limit or found.limit)
    alarm = found.divergence > limit
    name = "score" if found.feature == SCORE else found.feature
    against = "the windows before" if check == "drift" else "its training rows"
    return MonitoringCheck(
        check=check,
        about=name,
        status="alarm" if alarm else "ok",
        value=found.divergence,
        limit=limit,
        reason=f"{name}: divergence from {against} {found.divergence:.4f} {'>' if alarm else '<='} {limit:.4f} bits",
    )
