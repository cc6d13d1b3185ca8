"""Bounds of quantiles by their coverage, the ratio of tails, and the memory of a real process."""

from __future__ import annotations

import os

import numpy as np
import pytest

from interlock.evaluation.latency import p99_ratio, quantile, quantile_bounds, resident_bytes


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_bounds_cover_the_true_quantile_95_times_in_100(share: float) -> None:
    random = np.random.default_rng(1)
    truth = float(np.quantile(random.lognormal(size=2_000_000), share))
    inside = 0
    for _ in range(400):
        low, high = quantile_bounds(random.lognormal(size=1000).tolist(), share)
        assert low is not None
        assert high is not None
        inside += low <= truth <= high
    assert inside >= 366  # P(fewer | 0.95) = 0.002


def test_too_few_values_have_no_upper_bound_of_their_tail() -> None:
    low, high = quantile_bounds([float(i) for i in range(100)], 0.99)
    assert low is not None
    assert high is None
    assert quantile_bounds([1.0, 2.0], 0.5) == (None, None)


def test_a_quantile_is_one_of_the_values() -> None:
    values = [float(i) for i in range(1, 101)]
    assert quantile(values, 0.5) == 50
    assert quantile(values, 0.99) == 99
    assert quantile(values, 1.0) == 100


def test_bounds_of_the_ratio_cover_the_truth_95_times_in_100() -> None:
    random, inside = np.random.default_rng(3), 0
    for _ in range(40):
        one, other = random.lognormal(0, 0.5, 1000), random.lognormal(0, 0.5, 1000)
        _, low, high = p99_ratio(one.tolist(), other.tolist())
        inside += low <= 1 <= high
    assert inside >= 33  # P(fewer | 0.95) = 0.0007


def test_a_slow_model_is_seen_and_swapping_turns_the_ratio() -> None:
    random = np.random.default_rng(2)
    one, other = 3 * random.lognormal(0, 0.5, 1000), random.lognormal(0, 0.5, 1000)
    value, low, high = p99_ratio(one.tolist(), other.tolist())
    assert 1 < low < value < high
    assert p99_ratio(other.tolist(), one.tolist())[0] == pytest.approx(1 / value)


def test_the_memory_of_this_process_is_more_than_numpy_alone() -> None:
    found = resident_bytes(os.getpid())
    assert found is not None
    assert found > 20_000_000
    assert resident_bytes(2**22 + 1) is None  # above the highest process id Linux gives
