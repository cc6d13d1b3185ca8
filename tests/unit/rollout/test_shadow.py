"""A candidate in the shadow: compared on production's own requests, without a request of production's traffic."""

import json
import zlib

import msgspec
import pytest

from interlock.config import Cost, Shadow
from interlock.errors import EndpointError
from interlock.rollout.pairs import ShadowCheck, compared
from interlock.rollout.shadow import ShadowLog
from interlock.warehouse import outcomes

COST = Cost(false_positive=1, false_negative=5)
SHADOW = Shadow(margin=0.5, minimum_requests=300, deadline_seconds=600, requests_per_second=100)


class FakeCandidate:
    """Answers as the rows turn out, but for ``wrong`` of them; fails for ``failed`` of them."""

    def __init__(self, world, wrong=0.2, failed=0.0):
        self.world, self.wrong, self.failed, self.asked = world, wrong, failed, []

    def predict(self, instances):
        (instance,) = instances
        key = instance["row_key"]
        self.asked.append(key)
        u = zlib.crc32(key.encode()) / 2**32
        if u < self.failed:
            raise EndpointError("the candidate fails")
        label = self.world.truth[key]
        return [{"probability": 0.5, "label": 1 - label if u < self.failed + self.wrong else label}]


@pytest.fixture
def shadowed(make_world):
    def make(plan=SHADOW):
        world = make_world()
        world.strategy = msgspec.structs.replace(world.strategy, shadow=plan)
        world.begin()
        return world

    return make


def run(world, candidate):
    return world.process().shadow(candidate, ShadowLog(world.engine, "e", COST, ["distance"]))


def test_sound_candidate_goes_on_without_having_had_a_request(shadowed):
    world = shadowed()
    candidate = FakeCandidate(world)
    assert run(world, candidate) == "continue"
    assert world.endpoint.traffic == {"b": 100}
    assert "traffic" not in " ".join(world.log)
    verdict = world.named("shadow_judged")[-1].verdict
    assert verdict.kind == "healthy"
    assert verdict.candidate_requests == 0
    assert "decisions changed" in verdict.reason
    asked = len(candidate.asked)
    assert run(world, candidate) == "continue"  # run again after a crash: passed is passed
    assert len(candidate.asked) == asked
    assert len(set(candidate.asked)) == asked  # no request is sent twice


def test_worse_candidate_is_quarantined_and_nobody_noticed(shadowed):
    world = shadowed()
    assert run(world, FakeCandidate(world, wrong=0.7)) == "rolled back"
    assert world.endpoint.traffic == {"b": 100}
    assert world.registry.quarantined == {"2"}
    assert ": worse" in world.named("shadow_judged")[-1].verdict.reason
    assert world.process().shift(0).startswith("rollout is over")


def test_failing_candidate_is_found_without_an_outcome(shadowed):
    world = shadowed()
    world.behaviour["b"].outcome_share = 0.0
    assert run(world, FakeCandidate(world, failed=0.2)) == "rolled back"
    assert "requests failed" in world.named("shadow_judged")[-1].verdict.reason


def test_too_many_changed_decisions_where_that_is_limited(shadowed):
    world = shadowed(msgspec.structs.replace(SHADOW, maximum_flip_share=0.1))
    assert run(world, FakeCandidate(world, wrong=0.0)) == "rolled back"
    assert "decisions changed" in world.named("shadow_judged")[-1].verdict.reason


def test_no_outcomes_end_at_the_deadline(shadowed):
    world = shadowed()
    world.behaviour["b"].outcome_share = 0.0
    assert run(world, FakeCandidate(world)) == "rolled back"
    assert "deadline" in world.named("shadow_judged")[-1].verdict.reason


def test_broken_source_never_goes_on(shadowed):
    world = shadowed()
    world.per_second = 0
    outcomes.drop(world.engine)
    assert run(world, FakeCandidate(world)) == "rolled back"
    assert {event.verdict.kind for event in world.named("shadow_judged")} == {"error"}


def test_rate_and_sample_are_kept(shadowed):
    world = shadowed(msgspec.structs.replace(SHADOW, requests_per_second=10, sample=50, minimum_requests=100))
    candidate, began = FakeCandidate(world), world.clock.now()
    run(world, candidate)
    assert len(candidate.asked) <= 10 * (world.clock.now() - began + 10)
    numbers = [event.check for event in world.named("shadowed")]
    assert all(check.until % 100 < 50 for check in numbers)


def test_history_counts_where_it_is_asked_for(shadowed, make_world):
    world = make_world()
    world.strategy = msgspec.structs.replace(world.strategy, shadow=msgspec.structs.replace(SHADOW, history_rows=5000))
    world.clock.sleep(60)
    world.begin()
    world.per_second = 0  # no request comes any more; those before are enough
    assert run(world, FakeCandidate(world)) == "continue"


def test_change_of_traffic_by_a_person_ends_it(shadowed):
    world = shadowed()
    world.endpoint.change({"b": 50, "c": 50})
    assert run(world, FakeCandidate(world)) == "aborted"


def test_a_log_without_latencies_is_compared_all_the_same(shadowed):
    world = shadowed()
    world.clock.sleep(10)
    log = ShadowLog(world.engine, "e", COST, [])
    rows = log.rows("b", after=0, until=10, sample=100, limit=100)
    rows[3]["latency_ms"] = None  # as Vertex AI's own log
    found = compared([log.check(FakeCandidate(world), rows, after=0, until=10)])
    assert found.champion_ms is None
    assert str(found).endswith("ms vs unknown")


def test_counts_of_one_batch(shadowed):
    world = shadowed()
    world.clock.sleep(10)
    log = ShadowLog(world.engine, "e", COST, ["row_key"])
    rows = log.rows("b", after=0, until=10, sample=100, limit=100)
    check = log.check(FakeCandidate(world, wrong=0.0), rows, after=0, until=10)
    assert isinstance(check, ShadowCheck)
    assert (check.sent, check.failed, check.with_outcome) == (10, 0, 10)
    assert all(cell.candidate == 0.0 for cell in check.cells)
    assert sum(n for n, _ in check.slices.values()) == 10
    assert check.flips == sum(cell.rows for cell in check.cells if cell.champion > 0)
    assert json.loads(rows[0]["request_payload"])[0]["row_key"]
