"""Paired evidence: exact under its nulls, and far quicker than two arms."""

import numpy as np
import pytest

from interlock.rollout.pairs import Cell, ShadowCheck, compared, paired_harm, paired_noninferiority, pooled_costs

COSTS = [(0.0, 0.0), (1.0, 1.0), (5.0, 5.0), (1.0, 0.0), (0.0, 1.0), (5.0, 0.0), (0.0, 5.0)]
SOUND = np.array([0.83, 0.08, 0.03, 0.02, 0.02, 0.01, 0.01])
LIMIT = np.log(20)


def counts(rows):
    return {pair: int(n) for pair, n in zip(COSTS, rows, strict=True)}


def ever(shares, evidence, runs=400, looks=20, rows=300):
    """Share of runs in which ``evidence`` reaches the limit at any of the looks."""
    random, hits = np.random.default_rng(3), 0
    for _ in range(runs):
        total = np.zeros(len(COSTS))
        for _ in range(looks):
            total += random.multinomial(rows, shares)
            if evidence(counts(total)) >= LIMIT:
                hits += 1
                break
    return hits / runs


def test_no_harm_is_called_harm_no_more_than_alpha():
    assert ever(SOUND, lambda costs: paired_harm(costs, 5.0)) <= 0.05 + 0.02


def test_worse_by_the_margin_is_called_sound_no_more_than_alpha():
    margin = 0.2
    mean = sum(share * b for share, (b, _) in zip(SOUND, COSTS, strict=True))
    worse = SOUND + np.array([-margin * mean / 5, 0, 0, 0, 0, 0, margin * mean / 5])
    assert ever(worse, lambda costs: paired_noninferiority(costs, 5.0, margin)) <= 0.05 + 0.02


def test_sound_is_shown_sound_and_worse_is_shown_worse():
    assert ever(SOUND, lambda costs: paired_noninferiority(costs, 5.0, 0.3)) > 0.95
    worse = SOUND + np.array([-0.03, 0, 0, 0, 0, 0, 0.03])
    assert ever(worse, lambda costs: paired_harm(costs, 5.0), runs=100) > 0.95


def test_rows_on_which_both_agree_are_no_evidence_of_harm():
    assert paired_harm({(5.0, 5.0): 10_000, (0.0, 0.0): 10_000}, 5.0) == 0.0


def test_cap_bounds_a_cost():
    assert paired_harm({(0.0, 50.0): 3}, 5.0) == pytest.approx(paired_harm({(0.0, 5.0): 3}, 5.0))


def test_checks_are_pooled():
    checks = [ShadowCheck(after=0, until=1, cells=[Cell(0.0, 1.0, 2)]), ShadowCheck(after=1, until=2)]
    assert pooled_costs([*checks, *checks]) == {(0.0, 1.0): 4}


def test_the_comparison_of_all_checks_reads_as_one_sentence():
    one = {
        "sent": 11, "failed": 1, "flips": 2, "distance": 0.5, "champion_ms": 10.0, "candidate_ms": 30.0,
        "cells": [Cell(0.0, 1.0, 5)], "slices": {"carrier=UA": [6, 0], "carrier=B6": [4, 2]}, "scores": (2.0, 3.0, 1.0),
    }  # fmt: skip
    checks = [ShadowCheck(after=0, until=11, **one), ShadowCheck(after=11, until=22, **one)]
    found = compared(checks)
    assert (found.sent, found.failed, found.flips) == (22, 2, 4)
    assert next(iter(found.slices.items())) == ("carrier=B6", (8, 4))
    assert (found.champion_bias, found.candidate_bias) == pytest.approx((0.2, 0.4))
    assert str(found) == (
        "4 of 20 decisions changed, scores 0.05 apart; most in carrier=B6 (4 of 8); "
        "scores above outcomes by +0.4 vs +0.2; 3 ms vs 1 ms"
    )
    assert compared([ShadowCheck(after=0, until=5, sent=5, failed=5)]) is None
