"""The picture of a rollout from its journal alone, at any moment of it."""

from pathlib import Path

import msgspec

from interlock.config import load_config
from interlock.report.from_journal import rollout_report, timeline_html


def config_of(world):
    return msgspec.structs.replace(
        load_config(Path("examples/flights/config.yaml")), name="e", metrics=world.metrics, strategy=world.strategy
    )


def test_while_it_runs_and_when_it_is_over(world):
    config = config_of(world)
    assert rollout_report(world.engine, config, "r1") is None
    world.begin()
    world.process().shift(0)
    assert rollout_report(world.engine, config, "r1").outcome == "running"
    world.behaviour["c"].failed = 0.5
    world.drive()
    world.process().settle()
    report = rollout_report(world.engine, config, "r1")
    assert (report.outcome, report.candidate, report.champion) == ("rolled back", "2", "1")
    assert report.candidate_requests > 0
    assert report.seconds_to_restore is not None
    page = timeline_html(str(world.engine.url), config, "r1")
    assert page.startswith("<!doctype html>")
    assert "<svg" in page
    assert "rolled back" in page


def test_of_a_rollout_that_never_began(world):
    assert "did not begin" in timeline_html(str(world.engine.url), config_of(world), "r9")
