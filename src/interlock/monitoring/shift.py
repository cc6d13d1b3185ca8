"""Have features or score moved? Against the training rows (skew), and against the windows before (drift).

The method is data validation's, :func:`interlock.validation.drift.detect_drift`: what chance allows is learnt from
windows of the same length cut out of the reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from interlock.config import Config
from interlock.contracts import BinnedColumn, FeatureDrift, MonitoringCheck, MonitoringReference
from interlock.errors import InputError
from interlock.monitoring.bounds import deviate, largest_share, missing, share_check
from interlock.monitoring.statements import SCORE
from interlock.monitoring.window import Window
from interlock.validation.drift import LEAST_DAYS, FeatureCounts, detect_drift

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


def null_checks(config: Config, reference: MonitoringReference, window: Window, level: float) -> list[MonitoringCheck]:
    """Share of null and of unknown values against the training rows': beyond the margin, and beyond their bad days.

    ``level``: chance of any false alarm, shared by the columns.
    """
    checks, level = [], level / max(2 * len(reference.features), 1)
    z = deviate(level)
    for column in reference.features:
        now, then = window.features[column.name], np.array(column.pieces)
        stretches = _stretches(then, _pieces(window, reference.piece_hours))
        for place, what in ((-1, "null"), (-2, "unknown")):
            if what == "unknown" and not column.values:
                continue
            usual = float(then[:, place].sum() / max(then.sum(), 1)) + config.monitoring.null_margin
            limit = max(usual, largest_share(stretches[:, place], stretches.sum(axis=1), level))
            shown = f"{column.name}, {what}"
            checks.append(share_check("nulls", column.name, now[place], sum(now), limit=limit, z=z, what=shown))
    return checks


def _pieces(window: Window, piece_hours: float) -> int:
    """How many pieces of the reference are as long as the window, at least 1."""
    hours = (window.until - window.since) / 3600
    return max(1, round(hours / piece_hours)) if piece_hours else 1


def _stretches(pieces: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """Neighbouring pieces (pieces, bins) added up, ``length`` each, or fewer where too few stretches would be left."""
    length = min(length, max(len(pieces) // LEAST_DAYS, 1))
    number = len(pieces) // length
    added: npt.NDArray[Any] = pieces[: number * length].reshape(number, length, -1).sum(axis=1)
    return added


def _compared(
    config: Config, columns: Mapping[str, BinnedColumn], window: Window, check: str, piece_hours: float, level: float
) -> list[MonitoringCheck]:
    pieces, counts = _pieces(window, piece_hours), []
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
