"""Requests compared within the values of a covariate: the same counts, exact still, and fewer of them needed."""

import json

import numpy as np
import pytest

from interlock.config import Cost, Metric
from interlock.errors import EvidenceError
from interlock.rollout.counts import Arm, Check, Sample
from interlock.rollout.measurement import MOST_VALUES, measure
from interlock.rollout.strategy import harm
from interlock.warehouse import open_warehouse, outcomes, request_response_log

METRICS = [
    Metric(name="cost", value="cost", role="business", cap=5.0),
    Metric(name="revenue", value="amount", role="business", cap=50.0),
    Metric(name="errors", value="error", role="guardrail"),
]
COST = Cost(false_positive=1, false_negative=5)


@pytest.fixture
def engine(tmp_path):
    engine = open_warehouse(f"sqlite:///{tmp_path / 'warehouse.db'}")
    rng = np.random.default_rng(1)
    rows, known = [], []
    for number in range(1000):
        instance = {"row_key": f"k{number}", "carrier": rng.choice(["UA", "B6"]), "flight": number}
        if number % 50 == 0:
            del instance["carrier"]
        rows.append(
            {
                "endpoint": "e",
                "deployed_model_id": str(rng.choice(["b", "c"])),
                "model_version": "1",
                "logging_time": 0.0,
                "request_id": str(number),
                "request_payload": json.dumps([instance]),
                "response_payload": json.dumps([{"label": int(rng.random() < 0.3)}]),
                "status": 500 if rng.random() < 0.05 else 200,
                "latency_ms": 1.0,
            }
        )
        known.append(
            {"row_key": f"k{number}", "outcome": int(rng.random() < 0.3), "amount": float(number % 60), "time": 0.0}
        )
    with engine.begin() as connection:
        connection.execute(request_response_log.insert(), rows)
        connection.execute(outcomes.insert(), known)
    yield engine
    engine.dispose()


def count(engine, covariate):
    arms = {"b": "champion", "c": "candidate"}
    return measure(
        engine, "e", arms, after=0, until=1000, weight=50, metrics=METRICS, cost=COST, covariate=covariate
    )  # fmt: skip


def test_the_parts_make_the_whole(engine):
    plain, parted = count(engine, ""), count(engine, "carrier")
    for side in ("champion", "candidate"):
        whole, arm = getattr(plain, side), getattr(parted, side)
        assert (arm.requests, arm.answered, arm.failed) == (whole.requests, whole.answered, whole.failed)
        assert set(arm.strata) == {"B6", "UA", "None"}  # a request without the field is a value of its own
        for metric in METRICS:
            assert arm.sample(metric.name) == whole.sample(metric.name)
            assert sum((part[metric.name] for part in arm.strata.values()), Sample()) == whole.sample(metric.name)
        assert whole.strata == {}


def test_a_field_with_many_values_is_refused(engine):
    with pytest.raises(EvidenceError, match=rf"flight has \d+ values in one check, more than {MOST_VALUES}"):
        count(engine, "flight")


ERRORS = [Metric(name="errors", value="error", role="guardrail")]
RATES = {"easy": 0.01, "hard": 0.6}


def simulated(rng, odds, looks, stratified):
    """ln E of harm after each look; half of the requests are hard, a third go to the candidate."""
    checks = []
    for _ in range(looks):
        arms = {}
        for side, n in (("champion", 200), ("candidate", 100)):
            strata = {}
            for value, rate in RATES.items():
                worse = odds * rate / (1 - rate + odds * rate) if side == "candidate" else rate
                requests = rng.binomial(n, 0.5)
                bad = int(rng.binomial(requests, worse))
                strata[value] = {"errors": Sample(n=requests, nonzero=bad, total=bad, squares=bad)}
            total = sum((part["errors"] for part in strata.values()), Sample())
            arms[side] = Arm(
                requests=total.n, answered=total.n, samples={"errors": total}, strata=strata if stratified else {}
            )
        checks.append(Check(after=0, until=1, weight=33, **arms))
    return [harm(ERRORS, checks[: look + 1], {}, 0.05)["errors"] for look in range(looks)]


def found(odds, stratified, runs=120, looks=15):
    rng = np.random.default_rng(5)
    return np.mean([max(simulated(rng, odds, looks, stratified)) >= np.log(20) for _ in range(runs)])


def test_a_sound_version_goes_back_no_more_than_alpha():
    assert found(1.0, stratified=True) <= 0.05


def test_harm_is_found_sooner():
    assert found(1.5, stratified=True) > found(1.5, stratified=False) + 0.15
