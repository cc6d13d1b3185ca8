"""Metrics that are better when higher: conversion and capped amounts, from the database to the verdict."""

import msgspec
import numpy as np
import pytest
import sqlalchemy as sa

from interlock.config import CanaryStep, Cost, Metric, Strategy
from interlock.rollout import evidence
from interlock.rollout.counts import Arm, Check, Sample
from interlock.rollout.evidence import Prior, Strata
from interlock.rollout.measurement import measure
from interlock.rollout.strategy import Progress, decide
from interlock.warehouse import outcomes

CONVERSION = Metric(name="conversion", value="conversion", role="business")
REVENUE = Metric(name="revenue", value="amount", role="business", cap=10.0)
LIMIT = np.log(20)


def test_counts_of_conversion_and_capped_amount(world):
    for key, outcome, amount in (("a", 1, 4.0), ("b", 1, 25.0), ("c", 0, 0.0), ("d", 0, None), ("e", 1, -3.0)):
        with world.engine.begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO request_response_log (endpoint, deployed_model_id, model_version, logging_time, "
                    "request_id, request_payload, response_payload, status, latency_ms) VALUES ('e', 'c', '2', 0, "
                    f"""'{key}', '[{{"row_key": "{key}"}}]', '[{{"label": 1, "probability": 0.9}}]', 200, 1.0)"""
                )
            )
            connection.execute(outcomes.insert(), [{"row_key": key, "outcome": outcome, "amount": amount, "time": 0}])
    check = measure(
        world.engine,
        "e",
        {"c": "candidate"},
        after=0,
        until=100,
        weight=10,
        metrics=[CONVERSION, REVENUE],
        cost=Cost(false_positive=1, false_negative=1),
    )
    assert check.candidate.sample("conversion") == Sample(n=5, nonzero=2, total=2.0, squares=2.0)
    assert check.candidate.sample("revenue") == Sample(n=4, nonzero=2, total=14.0, squares=116.0)


def arm(n, conversion, amount):
    bad = round(n * (1 - conversion))
    buyers = n - bad
    return Arm(
        requests=n,
        answered=n,
        with_outcome=n,
        samples={
            "conversion": Sample(n=n, nonzero=bad, total=bad, squares=bad),
            "revenue": Sample(n=n, nonzero=buyers, total=buyers * amount, squares=buyers * amount**2 * 1.2),
        },
    )


def verdict(metric, candidate):
    steps = [CanaryStep(weight=20, margin=0.2, minimum_requests=1000)]
    checks = [
        Check(after=2000 * i, until=2000 * i + 2000, weight=20, champion=arm(1600, 0.2, 5.0), candidate=candidate)
        for i in range(12)
    ]
    progress = Progress(step=0, seconds_in_step=1.0, candidate_requests=100)
    return decide(Strategy(steps=steps), [metric], checks, progress)


@pytest.mark.parametrize("metric", [CONVERSION, REVENUE], ids=lambda metric: metric.name)
def test_as_good_goes_on_fewer_goes_back_more_goes_on(metric):
    equal, fewer, more = (verdict(metric, arm(400, rate, 5.0)) for rate in (0.2, 0.12, 0.28))
    assert (equal.action, more.action, fewer.action) == ("continue", "continue", "roll back")
    assert "not worse than -20%" in equal.verdict.reason
    if metric is CONVERSION:
        assert "candidate 0.12 vs champion 0.2" in fewer.verdict.reason


def test_smaller_baskets_go_back():
    assert verdict(REVENUE, arm(400, 0.2, 3.5)).action == "roll back"


def test_a_metric_may_have_its_own_margin():
    strict = msgspec.structs.replace(CONVERSION, margin=0.01)
    decision = verdict(strict, arm(400, 0.2, 5.0))
    assert decision.action == "hold"
    assert "not worse than -1%" in decision.verdict.reason


@pytest.mark.parametrize("margin", [0.1, 0.2])
def test_worse_by_the_margin_is_seldom_called_sound(margin):
    random, hits, runs = np.random.default_rng(5), 0, 400
    n_c, n_b = np.full((runs, 40), 250.0), np.full((runs, 40), 750.0)
    x_c = random.binomial(250, 1 - 0.2 * (1 - margin), (runs, 40)).astype(float)
    x_b = random.binomial(750, 0.8, (runs, 40)).astype(float)
    s = Strata(n_c, n_b, x_c, x_b, x_c, x_b, x_b)
    hits = (evidence.rate_noninferiority(s, margin, 0.8, up=True) >= LIMIT).any(-1).mean()
    assert hits <= 0.07


def test_lower_mean_is_found_and_higher_is_not():
    random = np.random.default_rng(6)
    for factor, found in ((0.7, True), (1.3, False)):
        c, b = random.exponential(factor, (40, 250)), random.exponential(1.0, (40, 750))
        s = Strata(
            *(np.full(40, float(n)) for n in (250, 750)),
            c.sum(1),
            b.sum(1),
            (c**2).sum(1),
            (b**2).sum(1),
            b.sum(1) * 0 + 750,
        )
        assert (evidence.mean_harm(s, Prior(1.0, 1.0), 0.05, up=True)[-1] >= LIMIT) == found
