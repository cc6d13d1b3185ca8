"""Whole rollouts against a real warehouse: what ends where, in which order, and what is never done."""

from itertools import pairwise

import pytest
import sqlalchemy as sa

from interlock.config import CanaryStep, PostDeploy, Strategy
from interlock.errors import EndpointError, EvidenceError, InputError
from interlock.rollout.controller import Outcome
from interlock.warehouse import outcomes

POST_DEPLOY = PostDeploy(minimum_requests=500, deadline_seconds=300, margin=0.3)


def with_deadline(seconds, on_deadline="roll back"):
    return Strategy(
        steps=[
            CanaryStep(weight=10, margin=0.9, minimum_requests=500, deadline_seconds=seconds),
            CanaryStep(weight=50, margin=0.6, minimum_requests=500, deadline_seconds=seconds),
        ],
        attribution_seconds=5,
        check_seconds=10,
        on_deadline=on_deadline,
    )


def test_sound_candidate_is_promoted(world):
    assert world.drive() == ["continue"] * 4 + ["promoted", "passed"]
    assert world.endpoint.traffic == {"c": 100}
    assert world.registry.aliases == {"production": "2", "previous": "1"}
    assert world.endpoint.versions == {"c": "2"}  # the old version goes after the evaluation, not before
    assert world.log.index("undeploy b") > world.log.index("production -> 2")
    settled = world.process().settle()
    assert (settled.outcome, settled.production, settled.traffic) == ("promoted", "2", {"c": 100})
    assert world.agrees()


def test_every_request_is_counted_at_most_once(world):
    world.drive()
    checks = [event.check for event in world.named("checked")]
    assert all(a.until <= b.after for a, b in pairwise(checks))
    assert [check.weight for check in checks] == sorted(check.weight for check in checks)


def test_worse_candidate_is_rolled_back_in_order(world):
    world.behaviour["c"].false_negative = 0.25
    seen = world.drive()
    assert "promoted" not in seen
    assert seen[-1] == "rolled back"
    traffic = world.log.index("traffic {'b': 100}")
    alias = world.log.index("production -> 1")
    quarantine = world.log.index("quarantine 2")
    cleanup = world.log.index("undeploy c")
    assert traffic < alias < quarantine < cleanup
    assert world.registry.aliases == {"production": "1", "previous": "0"}
    (rolled_back,) = world.named("rolled_back")
    assert rolled_back.seconds >= 0
    assert "cost: candidate" in rolled_back.reason
    assert ">= 20: worse" in rolled_back.reason
    assert world.process().settle().outcome == "rolled back"
    assert world.agrees()


def test_failing_candidate_is_rolled_back_before_minimum_requests(world):
    world.behaviour["c"].failed = 0.5
    world.begin()
    world.process().shift(0)
    assert world.process().judge(0) == "rolled back"
    judged = world.named("judged")[-1]
    assert judged.verdict.metric == "errors"
    assert judged.verdict.kind == "degraded"


def test_no_outcomes_at_all_end_at_the_deadline(make_world):
    world = make_world(strategy=with_deadline(200))
    for arm in world.behaviour.values():
        arm.outcome_share = 0.0
    assert world.drive()[-1] == "rolled back"
    verdict = world.named("judged")[-1].verdict
    assert verdict.kind == "inconclusive"
    assert "deadline" in verdict.reason
    assert "promoted" not in [event.__struct_config__.tag for event in world.events()]


def test_outcomes_missing_in_one_arm_hold(make_world):
    world = make_world(strategy=with_deadline(200))
    world.behaviour["c"].outcome_share = 0.85
    assert world.drive()[-1] == "rolled back"
    reasons = [judged.verdict.reason for judged in world.named("judged")]
    assert any("missing unevenly" in reason for reason in reasons)
    assert all(judged.action != "continue" for judged in world.named("judged"))


def test_no_traffic_never_promotes(make_world):
    world = make_world(per_second=0, strategy=with_deadline(200))
    assert world.drive()[-1] == "rolled back"


def test_broken_source_is_an_error_and_ends_at_the_deadline(make_world):
    world = make_world(strategy=with_deadline(200))
    world.begin()
    world.process().shift(0)
    world.per_second = 0  # the fake traffic writes outcomes too
    outcomes.drop(world.engine)
    assert world.process().judge(0) == "rolled back"
    assert {judged.verdict.kind for judged in world.named("judged")} == {"error"}
    assert all("warehouse cannot be read" in judged.verdict.reason for judged in world.named("judged"))


def test_hold_on_deadline_waits_for_evidence(make_world):
    world = make_world(strategy=with_deadline(1, on_deadline="hold"))
    assert world.drive()[-1] == "passed"
    assert any("deadline" in judged.verdict.reason for judged in world.named("judged"))


def test_late_outcomes_do_not_reopen_a_check(world):
    for arm in world.behaviour.values():
        arm.outcome_share = 0.0
    world.begin()
    rollout = world.process()
    rollout.shift(0)
    world.clock.sleep(60)
    rollout.source.take(rollout.ports.journal, rollout.state(), world.clock.now())
    counted = rollout.state().checks
    with world.engine.begin() as connection:
        keys = connection.execute(sa.text("select request_id from request_response_log")).scalars().all()
        connection.execute(outcomes.insert(), [{"row_key": key, "outcome": 0, "time": 0.0} for key in keys])
    rollout.source.take(rollout.ports.journal, rollout.state(), world.clock.now())
    assert rollout.state().checks == counted
    assert counted[0].candidate.with_outcome == 0


def test_lost_race_is_retried_from_a_fresh_read(world):
    world.endpoint.before_write = [lambda endpoint: endpoint.change(endpoint.traffic)] * 3
    world.begin()
    world.process().shift(0)
    assert world.endpoint.traffic == {"b": 90, "c": 10}


def test_change_by_a_person_between_read_and_write_is_not_overwritten(world):
    world.endpoint.before_write = [lambda endpoint: endpoint.change({"b": 70, "c": 30})]
    world.begin()
    assert "changed by somebody else" in world.process().shift(0)
    assert world.endpoint.traffic == {"b": 70, "c": 30}


def test_change_by_a_person_ends_the_rollout(world):
    def meddle(began, until):
        if until > 1_000_010:
            world.endpoint.change({"b": 60, "c": 40})

    world.clock.on_sleep.append(meddle)
    assert world.drive()[-1] == "aborted"
    assert world.process().settle().outcome == "aborted"
    assert world.endpoint.traffic == {"b": 60, "c": 40}
    assert world.registry.aliases["production"] == "1"
    assert world.registry.quarantined == set()


def test_alias_follows_the_traffic_a_person_set(world):
    world.begin()
    world.process().shift(0)
    world.endpoint.change({"c": 100})
    assert world.process().judge(0) == "aborted"
    assert world.process().settle().production == "2"
    assert world.agrees()


def test_order_to_roll_back_works_in_any_phase(world):
    world.drive()
    world.endpoint.versions["b"] = "1"
    world.endpoint.change({"b": 40, "c": 60})
    assert world.process().roll_back("ordered") == "rolled back"
    assert world.endpoint.traffic == {"b": 100}
    assert world.registry.quarantined == {"2"}
    assert world.process().settle().outcome == "rolled back"


@pytest.mark.parametrize("between", ["looks", "journal and endpoint"])
def test_order_to_roll_back_while_a_task_judges(world, between):
    def order(*_):
        world.clock.on_sleep, world.endpoint.before_read = [], []
        world.process().roll_back("ordered")

    world.begin()
    world.process().shift(0)
    if between == "looks":
        world.clock.on_sleep.append(order)
    else:
        world.endpoint.before_read.append(order)
    assert world.process().judge(0) == "rolled back"
    assert world.process().settle().outcome == "rolled back"
    assert world.named("aborted") == []


def test_roll_back_to_an_undeployed_champion_says_so(world):
    world.drive()
    with pytest.raises(EndpointError, match="no longer deployed as b"):
        world.process().roll_back("ordered")
    assert world.agrees()


def test_promotion_needs_every_step(world):
    world.begin()
    with pytest.raises(EvidenceError, match="0 of 2 steps passed"):
        world.process().promote()
    with pytest.raises(EvidenceError, match="step 0 has not passed"):
        world.process().shift(1)
    with pytest.raises(InputError, match="no traffic yet"):
        world.process().judge(0)


def test_begin_refuses_an_endpoint_that_is_not_ready(world):
    world.endpoint.change({"b": 50, "c": 50})
    with pytest.raises(EndpointError, match="a rollout begins from"):
        world.begin()
    with pytest.raises(EndpointError, match="deploy it first"):
        world.process().begin("1", "3", "b", "c")


def test_begin_again_is_no_new_rollout(world):
    world.begin()
    world.process().shift(0)
    world.begin()
    assert len(world.named("started")) == 1
    with pytest.raises(InputError, match="its own id"):
        world.process().begin("1", "3", "b", "d")


def test_prior_comes_from_the_champion_before_the_rollout(world):
    world.clock.sleep(30)
    world.begin()
    assert world.process().state().start.prior["cost"].n == 3000


def test_collapse_after_promotion_is_rolled_back(world):
    def collapse(began, until):
        if world.endpoint.traffic == {"c": 100}:
            world.behaviour["c"].false_negative = 0.4

    world.clock.on_sleep.insert(0, collapse)
    assert world.drive()[-2:] == ["promoted", "rolled back"]
    assert world.endpoint.traffic == {"b": 100}
    assert world.registry.aliases == {"production": "1", "previous": "0"}
    assert world.registry.quarantined == {"2"}


def test_no_data_after_promotion_keeps_the_old_version_deployed(world):
    def silence(began, until):
        if world.endpoint.traffic == {"c": 100}:
            world.behaviour["c"].outcome_share = 0.0

    world.clock.on_sleep.insert(0, silence)
    assert world.drive()[-2:] == ["promoted", "inconclusive"]
    assert world.endpoint.versions == {"b": "1", "c": "2"}
    assert world.process().settle().production == "2"


class TestFirstDeployment:
    @pytest.fixture
    def first(self, world):
        world.endpoint.traffic, world.endpoint.versions = {}, {"c": "2"}
        world.registry.aliases = {"staging": "2"}
        world.process().begin("", "2", "", "c")
        return world

    def test_is_promoted_directly(self, first):
        assert "first deployment" in first.process().shift(0)
        assert first.process().judge(0) == Outcome.CONTINUE
        assert first.process().promote() == "promoted"
        assert first.process().evaluate(POST_DEPLOY) == "passed"
        assert first.process().settle().production == "2"
        assert first.registry.aliases == {"production": "2"}
        assert first.agrees()

    def test_that_fails_leaves_nothing_in_production(self, first):
        first.behaviour["c"].failed = 0.3
        first.process().promote()
        assert first.process().evaluate(POST_DEPLOY) == "rolled back"
        assert first.process().settle().production == ""
        assert first.endpoint.traffic == {}
        assert first.endpoint.versions == {}
        assert first.registry.aliases == {}

    def test_that_dies_before_promotion_leaves_nothing_in_production(self, first):
        assert first.process().settle().outcome == "withdrawn"
        assert first.endpoint.versions == {}
        assert first.registry.aliases == {"staging": "2"}


def test_settle_without_a_rollout_touches_nothing(world):
    assert world.process().settle().outcome == "not started"
    assert world.log == []
