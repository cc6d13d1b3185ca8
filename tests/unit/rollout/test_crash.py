"""Killed at any write: settling in a new process leaves traffic and alias on one version that passed."""

from itertools import count, pairwise

import pytest

from interlock.config import CanaryStep, Strategy

QUICK = Strategy(
    steps=[
        CanaryStep(weight=30, margin=0.95, minimum_requests=200, deadline_seconds=900),
        CanaryStep(weight=50, margin=0.9, minimum_requests=200, deadline_seconds=900),
    ],
    attribution_seconds=5,
    check_seconds=10,
)

WORSE = pytest.mark.parametrize("worse", [False, True])


def make(make_world, worse):
    world = make_world(strategy=QUICK, per_second=50)
    if worse:
        world.behaviour["c"].false_negative = 0.3
    return world


@WORSE
def test_settle_after_a_crash_at_every_write(make_world, worse):
    ends = set()
    for place in count(1):
        world = make(make_world, worse)
        died = world.dies(world.drive, place)
        settled = world.process().settle()
        ends.add(settled.outcome)
        assert world.agrees(), f"place {place}: {settled}, {world.log}"
        assert sum(settled.traffic.values()) == 100
        assert not (worse and settled.production == "2")
        assert world.process().settle() == settled
        if not died:
            break
    assert place > 20
    assert ends == ({"not started", "withdrawn", "rolled back"} if worse else {"not started", "withdrawn", "promoted"})


@WORSE
def test_settle_that_crashes_itself_is_finished_by_the_next(make_world, worse):
    for place in range(1, 12):
        world = make(make_world, worse)
        world.dies(world.drive, 12)
        world.dies(lambda world=world: world.process().settle(), place)
        world.process().settle()
        assert world.agrees(), f"place {place}: {world.log}"


def test_task_run_again_after_a_crash_goes_on(make_world):
    for place in range(2, 40, 5):
        world = make(make_world, worse=False)
        world.dies(world.drive, place)
        assert world.drive()[-1] == "passed"
        assert world.endpoint.traffic == {"c": 100}
        checks = [event.check for event in world.named("checked")]
        assert all(a.until <= b.after for a, b in pairwise(checks))


def test_rollback_cut_short_is_finished_by_the_next_task(make_world):
    for place in range(1, 16):
        world = make(make_world, worse=True)
        world.begin()
        world.process().shift(0)
        world.dies(lambda world=world: world.process().roll_back("ordered"), place)
        assert world.process().shift(0)
        state = world.process().state()
        if state.decided is not None:
            assert world.process().judge(0) == "rolled back"
            assert world.endpoint.traffic == {"b": 100}
            world.process().settle()
            assert world.registry.quarantined == {"2"}
            assert world.endpoint.versions == {"b": "1"}
