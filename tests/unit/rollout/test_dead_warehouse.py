"""A warehouse that cannot be written, or not even read, never keeps the traffic from going back."""

import msgspec
import pytest
import sqlalchemy as sa

from interlock.errors import EndpointError, EvidenceError
from interlock.rollout import emergency
from interlock.warehouse import rollout_journal

CANARY = {"b": 90, "c": 10}


def refuse_writes(world):
    """As on a full disk: everything can be read, nothing can be written."""
    with world.engine.begin() as connection:
        connection.execute(
            sa.text("CREATE TRIGGER full BEFORE INSERT ON rollout_journal BEGIN SELECT RAISE(FAIL, 'disk full'); END")
        )


def kill(world):
    rollout_journal.drop(world.engine)


@pytest.fixture
def running(world):
    world.begin()
    world.process().shift(0)
    assert world.endpoint.traffic == CANARY
    return world


def test_order_moves_traffic_and_aliases_and_says_what_is_not_written(running):
    refuse_writes(running)
    rollout = running.process()
    assert rollout.roll_back("ordered") == "rolled back"
    assert running.endpoint.traffic == {"b": 100}
    assert running.registry.quarantined == {"2"}
    assert "disk full" in rollout.journal_problem
    assert "rolling_back, traffic_intended, traffic_set, rolled_back, quarantined" in rollout.journal_problem


def test_harm_found_before_the_disk_was_full_goes_back_at_once(running):
    running.behaviour["c"].failed = 0.5
    running.clock.sleep(60)
    rollout = running.process()
    rollout.source.take(rollout.ports.journal, rollout.state(), running.clock.now())
    refuse_writes(running)
    assert running.process().judge(0) == "rolled back"
    assert running.endpoint.traffic == {"b": 100}


@pytest.mark.parametrize("how", [refuse_writes, kill])
def test_dead_journal_holds_and_goes_back_at_the_deadline(running, how):
    def die(began, until):
        running.clock.on_sleep.remove(die)
        how(running)

    running.strategy = msgspec.structs.replace(running.strategy, check_seconds=60)
    running.clock.on_sleep.append(die)
    before = running.clock.now()
    assert running.process().judge(0) == "rolled back"
    assert running.clock.now() - before >= 900
    assert running.endpoint.traffic == {"b": 100}
    assert running.agrees()


def test_new_process_without_a_journal_decides_nothing_but_settles(running):
    kill(running)
    with pytest.raises(EvidenceError, match="rollout journal cannot be read"):
        running.process().judge(0)
    settled = running.process().settle()
    assert (settled.outcome, settled.production) == ("unknown", "1")
    assert "cannot be read" in settled.journal_problem
    assert running.agrees()


def test_settle_once_the_warehouse_is_back_agrees_with_what_was_done(running):
    refuse_writes(running)
    running.process().roll_back("ordered")
    with running.engine.begin() as connection:
        connection.execute(sa.text("DROP TRIGGER full"))
    assert running.process().settle().production == "1"
    assert running.agrees()


class TestWithoutJournal:
    def test_a_rollout_under_way_goes_back_to_production(self, running):
        version = emergency.version_before(running.endpoint, running.registry)
        assert emergency.restore(running.endpoint, running.registry, version, quarantine=True) == ["2"]
        assert running.endpoint.traffic == {"b": 100}
        assert running.registry.quarantined == {"2"}
        assert running.agrees()

    @pytest.mark.parametrize("traffic", [{"c": 100}, {"b": 5, "c": 95}])
    def test_a_promoted_version_goes_back_to_previous(self, world, traffic):
        world.endpoint.change(traffic)  # all of it, or all but a holdback
        world.registry.aliases = {"production": "2", "previous": "1"}
        assert emergency.version_before(world.endpoint, world.registry) == "1"
        emergency.restore(world.endpoint, world.registry, "1", quarantine=True)
        assert world.agrees()
        assert world.registry.quarantined == {"2"}
        assert "previous" not in world.registry.aliases

    def test_a_version_that_comes_back_as_candidate_is_no_holdback(self, running):
        running.registry.aliases |= {"previous": "2", "staging": "2"}
        running.endpoint.change({"b": 95, "c": 5})
        assert emergency.version_before(running.endpoint, running.registry) == "1"
        assert emergency.agree(running.endpoint, running.registry) == "1"
        assert running.agrees()

    def test_nothing_to_go_back_to_is_an_error(self, world):
        del world.registry.aliases["previous"]
        with pytest.raises(EndpointError, match="--to"):
            emergency.version_before(world.endpoint, world.registry)

    def test_lost_race_is_tried_again(self, running):
        running.endpoint.before_write = [lambda endpoint: endpoint.change(endpoint.traffic)] * 3
        assert emergency.switch_traffic(running.endpoint, "1") == ["2"]
        assert running.endpoint.traffic == {"b": 100}
