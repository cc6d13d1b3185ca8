"""Blue-green, direct, holdback, approval, freeze and cost at risk: each a step that rollback looks at too."""

from datetime import UTC, datetime

import msgspec
import pytest

from interlock.config import Freeze, PostDeploy, Strategy, parse_config
from interlock.errors import ConfigError
from interlock.rollout.journal import Approved
from interlock.rollout.waiting import frozen

POST_DEPLOY = PostDeploy(minimum_requests=500, deadline_seconds=300, margin=0.3)
BLUE_GREEN = Strategy(kind="blue_green", attribution_seconds=5, check_seconds=10)


def variant(world, **changes):
    world.strategy = msgspec.structs.replace(world.strategy, **changes)
    return world


class TestBlueGreen:
    def test_switches_once_and_keeps_the_old_version_warm(self, make_world):
        world = make_world(strategy=BLUE_GREEN)
        world.begin()
        assert world.process().promote() == "promoted"
        assert [line for line in world.log if line.startswith("traffic")] == ["traffic {'c': 100}"]
        promoted = world.clock.now()
        post = msgspec.structs.replace(POST_DEPLOY, keep_warm_seconds=200)
        assert world.process().evaluate(post) == "passed"
        assert world.clock.now() - promoted >= 200
        assert world.endpoint.versions == {"c": "2"}

    def test_switch_waits_for_a_person_where_one_must_agree(self, make_world):
        world = make_world(strategy=msgspec.structs.replace(BLUE_GREEN, approval="promotion", approval_seconds=600))
        world.begin()
        asked = world.clock.now()

        def agree(_, until):
            if until - asked >= 300 and not world.named("approved"):
                world.process().ports.journal.append(Approved(step=0, by="ann"))

        world.clock.on_sleep.append(agree)
        assert world.process().promote() == "promoted"
        assert 300 <= world.clock.now() - asked < 600

    def test_switch_nobody_agrees_with_does_not_happen(self, make_world):
        world = make_world(strategy=msgspec.structs.replace(BLUE_GREEN, approval="promotion", approval_seconds=600))
        world.begin()
        assert world.process().promote() == "rolled back"
        assert world.endpoint.traffic == {"b": 100}
        assert "waits for approval" in world.named("rolling_back")[0].reason

    def test_switch_waits_until_the_freeze_ends(self, make_world):
        world = make_world(strategy=msgspec.structs.replace(BLUE_GREEN, freeze=[TestFreeze.WEEKEND]))
        world.clock.time, world.per_second = datetime(2024, 6, 7, 17, tzinfo=UTC).timestamp(), 0
        world.begin()
        assert world.process().promote() == "promoted"
        assert world.clock.now() >= datetime(2024, 6, 10, 8, tzinfo=UTC).timestamp()

    def test_collapse_is_switched_back(self, make_world):
        world = make_world(strategy=BLUE_GREEN)
        world.clock.sleep(60)  # the champion's past, which is all there is to compare failures with
        world.behaviour["c"].failed = 0.3
        world.begin()
        world.process().promote()
        assert world.process().evaluate(POST_DEPLOY) == "rolled back"
        assert world.endpoint.traffic == {"b": 100}
        assert world.agrees()

    def test_one_call_switches_back_while_it_is_warm(self, make_world):
        world = make_world(strategy=BLUE_GREEN)
        world.begin()
        world.process().promote()
        assert world.process().roll_back("ordered") == "rolled back"
        assert world.endpoint.traffic == {"b": 100}


class TestHoldback:
    def test_old_version_keeps_its_share_and_stays_deployed(self, world):
        variant(world, holdback=5)
        assert world.drive()[-2:] == ["promoted", "passed"]
        assert world.endpoint.traffic == {"c": 95, "b": 5}
        assert world.registry.aliases["production"] == "2"
        settled = world.process().settle()
        assert (settled.outcome, settled.production) == ("promoted", "2")

    def test_damage_long_after_the_promotion_is_found_against_the_control(self, world):
        variant(world, holdback=5)
        world.drive()
        world.process().settle()
        world.clock.sleep(60)
        assert world.process().watch() == "passed"
        world.behaviour["c"].false_negative = 0.4
        for _ in range(30):
            world.clock.sleep(60)
            if world.process().watch() == "rolled back":
                break
        assert world.endpoint.traffic == {"b": 100}
        assert world.process().settle().outcome == "rolled back"
        assert world.registry.aliases["production"] == "1"
        assert "e-value" in world.named("rolled_back")[-1].reason

    def test_a_change_of_the_world_is_no_damage(self, world):
        variant(world, holdback=5)
        world.drive()
        for behaviour in world.behaviour.values():
            behaviour.false_negative = 0.3
        world.clock.sleep(300)
        assert world.process().watch() == "passed"


class TestApproval:
    def test_sound_candidate_waits_for_a_person(self, world):
        def approve(began, until):
            if until > 1_002_000 and not world.named("approved"):
                world.process().ports.journal.append(Approved(step=1, by="ann"))

        variant(world, approval="promotion", check_seconds=60)
        world.clock.on_sleep.append(approve)
        assert "promoted" in world.drive()
        held = [judged.verdict.reason for judged in world.named("judged") if judged.action == "hold"]
        assert any("waits for approval of step 2" in reason for reason in held)

    def test_damage_while_waiting_is_rolled_back(self, world):
        def collapse(began, until):
            if until > 1_002_000:
                world.behaviour["c"].failed = 0.5

        variant(world, approval="every step", check_seconds=60)
        world.clock.on_sleep.insert(0, collapse)
        assert world.drive()[-1] == "rolled back"
        assert world.named("judged")[-1].verdict.kind == "degraded"

    def test_nobody_answering_ends_it(self, world):
        variant(world, approval="promotion", approval_seconds=300, check_seconds=60)
        assert world.drive()[-1] == "rolled back"
        assert "waits for approval" in world.named("judged")[-1].verdict.reason


class TestFreeze:
    WEEKEND = Freeze(start="Fri 16:00", end="Mon 08:00")

    @pytest.mark.parametrize(
        ("moment", "inside"),
        [
            ("2024-06-07 15:59", False),
            ("2024-06-07 16:00", True),
            ("2024-06-09 23:59", True),
            ("2024-06-10 07:59", True),
            ("2024-06-10 08:00", False),
            ("2024-06-12 12:00", False),
        ],
    )
    def test_window(self, moment, inside):
        now = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
        assert (frozen([self.WEEKEND], now) is not None) == inside

    def test_first_step_waits_until_the_freeze_ends(self, world):
        world.clock.time = datetime(2024, 6, 10, 7, 50, tzinfo=UTC).timestamp()
        variant(world, freeze=[self.WEEKEND])
        world.begin()
        world.process().shift(0)
        assert world.endpoint.traffic == {"b": 90, "c": 10}
        assert world.clock.now() >= datetime(2024, 6, 10, 8, tzinfo=UTC).timestamp()

    def test_step_under_way_holds_and_goes_back_if_worse(self, world):
        world.clock.time = datetime(2024, 6, 7, 15, 59, tzinfo=UTC).timestamp()
        variant(world, freeze=[self.WEEKEND])
        world.behaviour["c"].failed = 0.5
        assert world.drive()[-1] == "rolled back"

    @pytest.mark.parametrize("waiting", ["to shift", "to promote"])
    def test_damage_while_the_next_step_waits_is_rolled_back(self, world, waiting):
        """The freeze begins after a step has passed and before the next task starts: its traffic stays on."""
        variant(world, freeze=[self.WEEKEND])
        world.clock.time = datetime(2024, 6, 7, 14, tzinfo=UTC).timestamp()
        world.begin()
        for step in range(1 if waiting == "to shift" else 2):
            world.process().shift(step)
            assert world.process().judge(step) == "continue"
        world.clock.time = datetime(2024, 6, 7, 16, 1, tzinfo=UTC).timestamp()
        world.behaviour["c"].failed = 0.5
        outcome = world.process().shift(1) if waiting == "to shift" else world.process().promote()
        assert "rolled back" in outcome
        assert world.endpoint.traffic == {"b": 100}
        assert ": worse" in world.named("rolling_back")[0].reason

    HALF_HOUR = Freeze(start="Fri 14:00", end="Fri 14:30")  # longer than a step's deadline and approval_seconds

    @pytest.mark.parametrize("waiting", ["to shift", "to promote"])
    def test_sound_candidate_that_has_passed_outlasts_a_long_freeze(self, world, waiting):
        variant(world, freeze=[self.HALF_HOUR], approval_seconds=60)
        world.clock.time = datetime(2024, 6, 7, 13, tzinfo=UTC).timestamp()
        world.begin()
        for step in range(1 if waiting == "to shift" else 2):
            world.process().shift(step)
            assert world.process().judge(step) == "continue"
        world.clock.time, world.per_second = datetime(2024, 6, 7, 14, 1, tzinfo=UTC).timestamp(), 5
        outcome = world.process().shift(1) if waiting == "to shift" else world.process().promote()
        assert outcome in ("candidate 2 gets 50 %", "promoted")
        assert world.clock.now() >= datetime(2024, 6, 7, 14, 30, tzinfo=UTC).timestamp()

    def test_step_shown_sound_in_a_long_freeze_passes_after_it(self, world):
        variant(world, freeze=[self.HALF_HOUR], approval_seconds=60)
        world.clock.time = datetime(2024, 6, 7, 13, 59, 55, tzinfo=UTC).timestamp()
        world.begin()
        world.process().shift(0)
        world.per_second = 20
        assert world.process().judge(0) == "continue"
        assert world.clock.now() >= datetime(2024, 6, 7, 14, 30, tzinfo=UTC).timestamp()


def test_cost_at_risk_is_bounded_whatever_the_evidence(world):
    variant(world, maximum_excess_cost=1.0)
    world.behaviour["c"].false_negative = 0.14
    assert world.drive()[-1] == "rolled back"
    assert "excess cost" in world.named("judged")[-1].verdict.reason


def test_rows_while_a_split_takes_effect_are_in_no_check(world):
    world.begin()
    world.process().shift(0)
    began = world.clock.now()
    rollout = world.process()
    rollout.source.settling_seconds = 30
    world.clock.sleep(60)
    rollout.source.take(rollout.ports.journal, rollout.state(), world.clock.now())
    (check,) = rollout.state().checks
    with world.engine.connect() as connection:
        first = connection.exec_driver_sql(
            "SELECT MIN(logging_time) FROM request_response_log WHERE log_id > ?", (check.after,)
        ).scalar_one()
    assert first > began + 30
    rollout.source.take(rollout.ports.journal, rollout.state(), world.clock.now() + 5)
    assert rollout.state().checks[-1].until > check.until  # and what follows is counted to the last row


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("kind: blue_green", "a blue_green rollout has no steps"),
        ("steps: []", "a canary rollout has at least one step"),
        ("holdback: 5", "holdback"),
    ],
)
def test_plans_that_cannot_be(change, message):
    with open("examples/flights/config.yaml") as file:
        text = file.read()
    head, _, tail = text.partition("  kind: canary\n")
    if change == "steps: []":
        start, end = tail.index("  steps:\n"), tail.index("\npost_deploy")
        tail = tail[:start] + "  steps: []\n" + tail[end:]
        change = "kind: canary"
    if change == "holdback: 5":
        tail = tail.replace("weight: 50", "weight: 96")
    with pytest.raises(ConfigError, match=message):
        parse_config(f"{head}  {change}\n{tail}")
