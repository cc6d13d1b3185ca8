"""What a share may reach by chance: exceeded about as often as asked, also where gaps come in clusters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.monitoring.bounds import largest_share

DAYS, ROWS = 180, 900


def days(seed, mean, rows):
    """Null counts of days whose own shares are drawn from a beta distribution; ``rows``: inf for days all alike."""
    draw = np.random.default_rng(seed)
    share = draw.beta(mean * rows, (1 - mean) * rows, DAYS) if np.isfinite(rows) else np.full(DAYS, mean)
    return draw.binomial(ROWS, share)


@pytest.mark.parametrize(("mean", "rows"), [(0.1, 5.0), (0.02, 20.0), (0.3, 3.0), (0.1, np.inf)])
def test_a_day_of_the_same_kind_exceeds_it_as_rarely_as_asked(mean, rows):
    level, n = 0.01, np.full(DAYS, ROWS)
    beyond = [
        np.mean(days(1000 + i, mean, rows) / ROWS > largest_share(days(i, mean, rows), n, level)) for i in range(40)
    ]
    assert 0.2 * level < np.mean(beyond) < 2 * level


def test_days_that_are_alike_allow_little_and_days_with_gaps_allow_gaps():
    n = np.full(DAYS, ROWS)
    assert largest_share(days(1, 0.1, np.inf), n, 1e-4) < 0.16
    assert largest_share(days(1, 0.1, 5.0), n, 1e-4) > 0.5


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=30))
def test_it_is_a_share_no_smaller_than_the_mean_whatever_was_counted(counted):
    hits, n = (np.array(each) for each in zip(*((min(pair), max(pair)) for pair in counted), strict=True))
    found = largest_share(hits, n, 1e-3)
    assert hits.sum() / max(n.sum(), 1) * 0.999 <= found <= 1
