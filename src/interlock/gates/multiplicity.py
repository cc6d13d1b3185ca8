"""How sure we are that a limit is broken, and what many such questions at once do to that.

A gate that asks thirty slices at 5 % each closes on a sound model four times in five. Holm's correction keeps the
chance of a single false "broken" in the whole report at 5 %, whatever the slices have to do with each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Z95 = 1.959963984540054
LEVEL = 0.05


def p_sound(*, value: float, low: float, high: float, limit: float, floor: bool, bounded: bool) -> float:
    """One-sided p-value of "the truth is on the good side of the limit", from a 95 % interval.

    ``floor``: the limit must not be undercut (else not exceeded). ``bounded``: a metric in [0, 1], whose interval
    is symmetric on the logit scale. The half of the interval that faces the limit is the one that counts.
    """
    broken = value < limit if floor else value > limit
    if not broken:
        return 1.0
    far = high if floor else low
    if bounded and all(0 < x < 1 for x in (value, limit, far)):
        value, limit, far = _logit(value), _logit(limit), _logit(far)
    error = abs(far - value) / Z95
    return _upper_tail(abs(limit - value) / error) if error > 0 else 0.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm-adjusted p-values in the given order: all at or below 5 % may be called broken together.

    Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, worst = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = worst
    return adjusted


def _logit(x: float) -> float:
    return math.log(x / (1 - x))


def _upper_tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))
