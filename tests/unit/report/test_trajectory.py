"""The drawn evidence is the evidence that decided."""

from __future__ import annotations

import math
import re

import msgspec
import pytest

from interlock.report import RolloutReport, trajectory, wording
from interlock.rollout.counts import Arm, Check
from interlock.rollout.journal import Checked, Judged
from interlock.rollout.strategy import Action


def stated(reason: str) -> float:
    """The e-value in a reason of the strategy."""
    found = re.search(r"e-value ([\d.e+-]+)", reason)
    assert found is not None
    return float(found.group(1))


def before_each_decision(rollout: RolloutReport) -> list[tuple[Judged, trajectory.Point]]:
    by_time = {point.seconds: point for point in trajectory.trajectory(rollout)}
    return [
        (entry.event, by_time[entry.time - rollout.began])
        for entry in rollout.entries
        if isinstance(entry.event, Judged) and entry.event.action != Action.HOLD
    ]


def test_the_line_of_harm_ends_where_the_rollback_says(rolled_back: RolloutReport) -> None:
    ((judged, point),) = before_each_decision(rolled_back)
    assert math.exp(point.harm) == pytest.approx(stated(judged.verdict.reason), rel=5e-3)
    assert point.harm >= -math.log(rolled_back.strategy.alpha)


def test_the_line_of_not_worse_is_at_the_stated_value_at_every_step(promoted: RolloutReport) -> None:
    passed = before_each_decision(promoted)
    assert len(passed) == 3
    for judged, point in passed:
        assert math.exp(point.sound) == pytest.approx(stated(judged.verdict.reason), rel=5e-3)
        assert point.margin == promoted.strategy.steps[judged.step].margin


def test_no_line_reaches_the_threshold_before_its_decision(promoted: RolloutReport) -> None:
    threshold = -math.log(promoted.strategy.alpha)
    assert all(point.harm < threshold for point in trajectory.trajectory(promoted))


def test_the_band_holds_the_candidate(promoted: RolloutReport) -> None:
    banded = [p for p in trajectory.trajectory(promoted) if p.low is not None and p.high is not None]
    assert banded
    for point in banded:
        assert point.low is not None
        assert point.high is not None
        assert point.champion + point.low < point.candidate < point.champion + point.high


def test_a_first_deployment_has_no_evidence(first: RolloutReport) -> None:
    assert trajectory.trajectory(first) == []


def test_a_check_with_an_empty_arm_changes_nothing(promoted: RolloutReport) -> None:
    whole = trajectory.trajectory(promoted)
    index = next(i for i, e in enumerate(promoted.entries) if isinstance(e.event, Checked)) + 1
    silent = Check(after=0, until=40, weight=5, champion=Arm(requests=40), candidate=Arm())
    extra = msgspec.structs.replace(promoted.entries[index], event=Checked(check=silent))
    entries = [*promoted.entries[:index], extra, *promoted.entries[index:]]
    longer = trajectory.trajectory(msgspec.structs.replace(promoted, entries=entries))
    assert len(longer) == len(whole) + 1
    assert (longer[-1].harm, longer[-1].sound, longer[-1].candidate) == pytest.approx(
        (whole[-1].harm, whole[-1].sound, whole[-1].candidate)
    )


def test_a_long_rollout_is_thinned_but_keeps_its_decisions(promoted: RolloutReport) -> None:
    first_check = next(i for i, e in enumerate(promoted.entries) if isinstance(e.event, Checked))
    many = [promoted.entries[first_check]] * (3 * trajectory.POINTS)
    entries = [*promoted.entries[:first_check], *many, *promoted.entries[first_check:]]
    rollout = msgspec.structs.replace(promoted, entries=entries)
    assert len(trajectory.trajectory(rollout)) <= trajectory.POINTS + 4
    assert len(before_each_decision(rollout)) == 3


@pytest.mark.parametrize(
    ("e_value", "text"),
    [(0.0525, "0.0525"), (1.0, "1"), (52.2, "52.2"), (26_614.0, "26,600"), (3.2e8, "10^8")],
)
def test_e_values_are_written_with_three_digits(e_value: float, text: str) -> None:
    assert wording.e_value(math.log(e_value)) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.117, "0.12 s"), (17.4, "17 s"), (161.0, "2 min 41 s"), (11_100.0, "3 h 05 min")]
)
def test_durations_are_written_as_people_say_them(seconds: float, text: str) -> None:
    assert wording.seconds(seconds) == text
