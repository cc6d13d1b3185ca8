"""Holm's correction and the p-value of an interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from interlock.gates.multiplicity import holm, p_sound

CHANCES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def rejected_step_by_step(p_values: list[float], level: float) -> set[int]:
    """Holm as he wrote it: the smallest against level / m, the next against level / (m - 1), until one stands."""
    found: set[int] = set()
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] * (len(p_values) - rank) > level:
            break
        found.add(index)
    return found


@given(CHANCES)
def test_adjusted_values_reject_what_the_steps_reject(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert {i for i, p in enumerate(adjusted) if p <= 0.05} == rejected_step_by_step(p_values, 0.05)


@given(CHANCES, st.randoms())
def test_the_order_of_the_questions_does_not_matter(p_values: list[float], random: object) -> None:
    shuffled = list(p_values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sorted(holm(shuffled)) == pytest.approx(sorted(holm(p_values)))


def test_nothing_asked_nothing_adjusted() -> None:
    assert holm([]) == []


@pytest.mark.parametrize("floor", [True, False])
def test_a_normal_interval_gives_the_normal_tail(floor: bool) -> None:
    value, error, limit = (-2.0, 0.5, -1.0) if floor else (2.0, 0.5, 1.0)
    found = p_sound(
        value=value, low=value - 1.96 * error, high=value + 1.96 * error, limit=limit, floor=floor, bounded=False
    )
    assert found == pytest.approx(norm.sf(2.0), rel=1e-3)


def test_on_the_good_side_there_is_nothing_to_show() -> None:
    assert p_sound(value=0.9, low=0.8, high=0.95, limit=0.85, floor=True, bounded=True) == 1.0


def test_a_wide_interval_shows_less_than_a_narrow_one() -> None:
    wide, narrow = (
        p_sound(value=0.7, low=0.7 - half, high=0.7 + half, limit=0.8, floor=True, bounded=True)
        for half in (0.15, 0.05)
    )
    assert narrow < 0.001 < wide


def test_bounds_at_the_edge_of_the_scale_are_finite() -> None:
    for value, high in ((0.0, 0.3), (0.7, 1.0), (1.0, 1.0)):
        assert np.isfinite(p_sound(value=value, low=0.0, high=high, limit=0.8, floor=True, bounded=True))
