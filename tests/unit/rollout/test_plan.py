"""The plan simulator: what it says about plans that are right, too strict, and impossible."""

import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from interlock.commands.plan import declared, recent, run
from interlock.config import CanaryStep, Metric, Strategy, load_config
from interlock.errors import InputError
from interlock.rollout.counts import Sample
from interlock.rollout.plan import simulate

METRICS = [
    Metric(name="cost", value="cost", role="business", weight=4, cap=5.0),
    Metric(name="errors", value="error", role="guardrail"),
]
HISTORY = {
    "cost": Sample(n=10_000, nonzero=1500, total=3500.0, squares=13_500.0, levels={1.0: 1000, 5.0: 500}),
    "errors": Sample(n=10_000, nonzero=10, total=10.0, squares=10.0),
}
PLAN = Strategy(
    steps=[
        CanaryStep(weight=10, margin=0.6, minimum_requests=1000, deadline_seconds=600),
        CanaryStep(weight=50, margin=0.3, minimum_requests=1000, deadline_seconds=600),
    ],
    attribution_seconds=10,
)


def test_a_good_plan_promotes_what_is_sound_and_finds_what_is_not():
    plan = simulate(PLAN, METRICS, HISTORY, requests_per_second=200, runs=100)
    assert plan.warnings == []
    assert plan.false_rollback <= 0.1  # 0.05, and the error of 100 runs
    assert plan.false_promotion <= 0.1
    assert plan.promotes > 0.8
    assert 2000 < plan.requests_to_promote < 240_000
    assert plan.hours_to_promote * 3600 >= plan.requests_to_promote / 200
    worst = plan.effects[-1]
    assert (worst.effect, worst.rolled_back) == (0.5, 1.0)
    assert worst.exposed < plan.effects[0].exposed
    assert plan.smallest_detectable is not None
    assert plan.smallest_detectable <= 0.3


HIGHER = {
    "conversion": (
        Metric(name="m", value="conversion", role="business"),
        Sample(n=10_000, nonzero=9000, total=9000.0, squares=9000.0),
    ),
    "amount": (
        Metric(name="m", value="amount", role="business", cap=100.0),
        Sample(n=10_000, nonzero=1000, total=30_000.0, squares=1_800_000.0),
    ),
}


@pytest.mark.parametrize("value", HIGHER)
def test_what_is_better_when_higher_gets_worse_by_becoming_less(value):
    """10 % convert: "20 % worse" is 8 %, and not that 20 % more do not convert, which would leave nobody."""
    metric, history = HIGHER[value]
    steps = [msgspec.structs.replace(PLAN.steps[0], margin=0.4), msgspec.structs.replace(PLAN.steps[1], margin=0.2)]
    plan = simulate(Strategy(steps=steps), [metric], {"m": history}, requests_per_second=200, runs=60)
    assert plan.promotes > 0.8
    assert plan.false_rollback <= 0.1
    assert plan.false_promotion <= 0.1
    shares = {ended.effect: ended.rolled_back for ended in plan.effects}
    assert shares[0.05] < 0.5
    assert shares[0.2] > 0.8
    assert shares[0.5] == 1.0
    assert plan.smallest_detectable in (0.1, 0.15, 0.2)


def test_a_metric_with_a_margin_of_its_own_is_tried_at_that():
    metric = msgspec.structs.replace(HIGHER["conversion"][0], margin=0.5)
    steps = [msgspec.structs.replace(PLAN.steps[1], margin=0.05)]
    history = {"m": HIGHER["conversion"][1]}
    plan = simulate(Strategy(steps=steps), [metric], history, requests_per_second=200, runs=60)
    assert plan.promotes > 0.8  # at the step's 5 % this traffic could not say
    assert plan.false_promotion <= 0.1


@pytest.mark.parametrize("bad", [0, 10_000])
def test_a_rate_that_never_varied_is_no_crash(bad):
    history = {"m": Sample(n=10_000, nonzero=bad, total=float(bad), squares=float(bad))}
    for value in ("error", "conversion"):
        metric = Metric(name="m", value=value, role="business")
        assert simulate(PLAN, [metric], history, requests_per_second=200, runs=10).promotes == 0


def test_the_same_seed_gives_the_same_plan():
    assert simulate(PLAN, METRICS, HISTORY, requests_per_second=200, runs=30) == simulate(
        PLAN, METRICS, HISTORY, requests_per_second=200, runs=30
    )


def test_too_little_traffic_is_said_with_what_is_needed():
    plan = simulate(PLAN, METRICS, HISTORY, requests_per_second=1, runs=30)
    assert plan.promotes == 0
    assert any("590 requests until the deadline < minimum_requests 1000" in warning for warning in plan.warnings)
    assert any("cannot conclude" in warning for warning in plan.warnings)
    assert plan.smallest_detectable in (None, 1.0, 2.0)  # only what nobody could miss


def test_outcomes_later_than_the_deadline_are_said():
    late = msgspec.structs.replace(PLAN, attribution_seconds=700.0)
    plan = simulate(late, METRICS, HISTORY, requests_per_second=200, runs=20)
    assert any("no outcome can be counted" in warning for warning in plan.warnings)


def test_unknown_history_is_an_error():
    with pytest.raises(InputError, match="metric errors has no history"):
        simulate(PLAN, METRICS, {"cost": HISTORY["cost"]}, requests_per_second=200)


class TestDeclared:
    CONFIG = load_config(Path("examples/flights/config.yaml"))

    def test_mean_cost_is_kept(self):
        made = declared(self.CONFIG, ["cost_per_flight=0.3", "error_rate=0.01", "slow_share=0"])
        assert made["cost_per_flight"].mean == pytest.approx(0.3, rel=1e-3)
        assert made["error_rate"].mean == pytest.approx(0.01)

    def test_what_is_better_when_higher_is_declared_as_a_person_says_it(self):
        metrics = [
            Metric(name="conversion", value="conversion", role="business"),
            Metric(name="revenue", value="amount", role="business", cap=50.0),
        ]
        config = msgspec.structs.replace(self.CONFIG, metrics=metrics)
        made = declared(config, ["conversion=0.1", "revenue=3"])
        assert made["conversion"].total == 900_000  # counts of bad ones
        assert made["revenue"].mean == pytest.approx(3)
        assert made["revenue"].squares == pytest.approx(50 * made["revenue"].total)
        with pytest.raises(InputError, match="above the cap 50"):
            declared(config, ["conversion=0.1", "revenue=51"])

    @pytest.mark.parametrize(
        ("rates", "message"),
        [
            (["error_rate=much"], "not NAME=NUMBER"),
            (["errors=0.1"], "errors is no metric"),
            (["error_rate=0.1"], "cost_per_flight, slow_share is not declared"),
            (["cost_per_flight=0.3", "error_rate=2", "slow_share=0"], "between 0 and 1"),
            (["cost_per_flight=9", "error_rate=0", "slow_share=0"], "above what the mistakes can cost"),
        ],
    )
    def test_nonsense_is_refused(self, rates, message):
        with pytest.raises(InputError, match=message):
            declared(self.CONFIG, rates)


def test_history_is_that_of_the_version_in_production(world):
    world.drive()
    world.process().settle()
    world.clock.sleep(100)
    config = msgspec.structs.replace(TestDeclared.CONFIG, name="e", metrics=world.metrics)
    history, per_second = recent(world.engine, config)
    assert per_second == pytest.approx(100, rel=0.1)
    assert history["cost"].n > 5000
    assert history["cost"].has_levels


def test_the_command_prints_shares_times_and_warnings(tmp_path):
    out = io.StringIO()
    run(
        Path("examples/flights/config.yaml"),
        tmp_path,
        rates=["cost_per_flight=0.3", "error_rate=0.001", "slow_share=0.001"],
        requests_per_second=2.0,
        runs=20,
        as_json=False,
        console=Console(file=out, width=200),
    )
    said = out.getvalue()
    assert "20 simulated rollouts" in said
    assert "50% worse" in said
    assert "warning" in said
    assert "minimum_requests" in said


def test_declared_rates_need_the_traffic(tmp_path):
    with pytest.raises(InputError, match="--requests-per-second"):
        run(
            Path("examples/flights/config.yaml"),
            tmp_path,
            rates=["cost_per_flight=0.3", "error_rate=0.001", "slow_share=0.001"],
            requests_per_second=None,
            runs=20,
            as_json=False,
            console=Console(),
        )
