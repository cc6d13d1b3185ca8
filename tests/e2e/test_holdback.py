"""Monitoring, run as its pipeline, compares the promoted version with what is held back, and rolls back by itself."""

import json
import time

import pytest
import sqlalchemy as sa
import yaml

from interlock.config import parse_config
from interlock.rehearsal.load import Load
from interlock.rehearsal.stage import CONFIG, Stage
from interlock.rollout.emergency import shares
from interlock.rollout.history import production_changes
from interlock.vertex.monitoring import monitor
from interlock.vertex.rollout import open_rollout
from interlock.warehouse import monitoring_log, open_warehouse, rows_of, serving_log

from .conftest import interlock
from .console_stage import opened, upload

pytestmark = pytest.mark.slow
PER_SECOND, HELD_BACK, DEADLINE_SECONDS = 400, 5, 90.0


def with_holdback():
    raw = yaml.safe_load(CONFIG)
    raw["strategy"] |= {"kind": "blue_green", "steps": [], "holdback": HELD_BACK}
    raw["monitoring"] = {"minimum_rows": 100, "hours": 0.1}
    return yaml.safe_dump(raw, sort_keys=False)


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("holdback")) as there:
        there.stage = Stage(there.stage.place, parse_config(with_holdback(), "holdback"))
        yield there


def promoted(stage, champion, candidate, load):
    """``candidate`` with all traffic but what is held back, the rollout settled, and rows of both in the log."""
    deployed = stage.ready(champion, candidate)
    until(stage, load, "the champion's past", {deployed[0]: 200})
    rollout = open_rollout(stage.place, stage.config, f"to-{candidate.version}")
    rollout.begin(champion.version, candidate.version, *deployed)
    assert rollout.promote() == "promoted"
    rollout.settle()
    assert shares(stage.endpoint.read()) == {champion.version: HELD_BACK, candidate.version: 100 - HELD_BACK}
    until(stage, load, "rows of both", {deployed[0]: 60, deployed[1]: 1000})


def until(stage, load, what, wanted):
    """Wait for as many more logged rows per deployed id as ``wanted``."""
    log = serving_log().c
    count = sa.select(log.deployed_model_id, sa.func.count().label("n")).group_by(log.deployed_model_id)
    engine, deadline = open_warehouse(stage.place.warehouse), time.monotonic() + DEADLINE_SECONDS

    def rows():
        return {row["deployed_model_id"]: row["n"] for row in rows_of(engine, count)}

    before = rows()
    while any(rows().get(id_, 0) - before.get(id_, 0) < least for id_, least in wanted.items()):
        assert time.monotonic() < deadline, f"{what}: {rows()} after {before}, {len(load.sent)} sent"
        time.sleep(0.2)
    engine.dispose()


def test_a_version_no_worse_than_the_holdback_stays(ground, tmp_path):
    stage, (champion, sound) = ground.stage, ground.versions
    with Load(stage.place, stage.config.name, PER_SECOND) as load:
        promoted(stage, champion, sound, load)
    report = monitor(stage.place, stage.config, hours=0.1, folder=tmp_path, retrain=None)
    (held,) = (check for check in report.checks if check.check == "holdback")
    assert (held.status, held.reason) == ("ok", "not shown worse than the holdback")
    assert shares(ground.stage.endpoint.read()) == {"1": HELD_BACK, "2": 100 - HELD_BACK}
    assert stage.registry.version_with("production") == "2"


def test_a_version_worse_than_the_holdback_is_rolled_back_by_the_monitoring_pipeline(ground, tmp_path):
    stage = ground.stage
    wrong = upload(stage, tmp_path / "wrong", "c" * 64, part="flipped labels")
    (tmp_path / "config.yaml").write_text(with_holdback())
    with Load(stage.place, stage.config.name, PER_SECOND) as load:
        promoted(stage, ground.versions[0], wrong, load)
    assert stage.registry.version_with("production") == wrong.version
    done = interlock("submit", "monitoring", "-c", tmp_path / "config.yaml", "--state", ground.state)
    assert done.returncode == 0, done.stdout + done.stderr

    assert shares(stage.endpoint.read()) == {"1": 100}
    assert stage.registry.version_with("production") == "1"
    assert stage.registry.version_with(f"quarantined-{wrong.version}") == wrong.version
    engine = open_warehouse(stage.place.warehouse)
    last = production_changes(engine, stage.config.name)[-1]
    assert last.version == "1"
    assert last.reason.startswith("cost")
    *_, row = rows_of(engine, sa.select(monitoring_log).order_by(monitoring_log.c.entry))
    assert (row["model_version"], row["verdict"]) == (wrong.version, "alert")
    assert "shown worse than the holdback: rolled back" in json.loads(row["detail"])["reasons"]
