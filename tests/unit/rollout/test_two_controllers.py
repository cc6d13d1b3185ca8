"""One endpoint, two rollouts: the second is refused, whenever it comes."""

import msgspec
import pytest

from interlock.errors import ConcurrentChange
from interlock.rollout.history import open_rollouts, production_changes
from interlock.rollout.journal import Checked, RolloutJournal


def other(world, name="r2"):
    """A process of another rollout on the same endpoint."""
    rollout = world.process()
    rollout.ports = msgspec.structs.replace(rollout.ports, journal=RolloutJournal(world.engine, name, world.clock.now))
    return rollout


def test_second_rollout_is_refused_and_leaves_no_trace(world):
    world.begin()
    world.process().shift(0)
    second = other(world)
    world.endpoint.change({"b": 100})  # even if the traffic looked free
    with pytest.raises(ConcurrentChange, match="rollout r1 under way: rollout r2 does not begin"):
        second.begin("1", "2", "b", "c")
    assert second.ports.journal.entries() == []
    assert second.settle().outcome == "not started"


def test_two_that_begin_at_the_same_moment_never_both_go_on(world):
    first, second = world.process(), other(world)
    second.require_free()  # it looked, saw nobody ...
    first.begin("1", "2", "b", "c")
    second.require_free = first.require_free.__func__.__get__(second)
    with pytest.raises(ConcurrentChange):
        second.begin("1", "2", "b", "c")  # ... and looks again
    assert open_rollouts(world.engine, "e") == ["r1"]


def test_a_settled_rollout_makes_room(world):
    world.behaviour["c"].failed = 0.5
    world.drive()
    world.process().settle()
    assert open_rollouts(world.engine, "e") == []
    world.endpoint.versions["d"] = "3"
    other(world).begin("1", "3", "b", "d")
    assert open_rollouts(world.engine, "e") == ["r2"]


def test_rows_counted_by_two_processes_count_once(world):
    world.begin()
    world.process().shift(0)
    world.clock.sleep(60)
    rollout = world.process()
    rollout.source.take(rollout.ports.journal, rollout.state(), world.clock.now())
    (check,) = rollout.state().checks
    rollout.ports.journal.append(Checked(check=check))
    assert rollout.state().checks == [check]


def test_history_says_who_was_in_production_and_why(world):
    world.drive()
    world.process().settle()
    changes = production_changes(world.engine, "e")
    assert [change.version for change in changes] == ["1", "2"]
    assert changes[1].by == "rollout r1"
    assert changes[0].time < changes[1].time


def test_history_of_a_rollback_is_no_change(world):
    world.behaviour["c"].failed = 0.5
    world.drive()
    assert [change.version for change in production_changes(world.engine, "e")] == ["1"]
