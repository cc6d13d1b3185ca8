"""Scenarios are refused before anything runs; the table tells what happened."""

from pathlib import Path

import pytest
import yaml

from interlock.errors import ConfigError
from interlock.rehearsal.scenario import load_scenario
from interlock.rehearsal.table import shares
from interlock.rollout.journal import Entry, Started, TrafficSet
from interlock.submission import read_use_case

FLIGHTS = Path(__file__).parents[3] / "examples" / "flights"


def test_the_example_is_valid():
    scenario = load_scenario(FLIGHTS / "run.yaml")
    assert [version.expect for version in scenario.versions] == ["promoted", "promoted", "rolled back"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda s: s.update(version=[]), "version"),
        (lambda s: s.update(versions=[]), "versions"),
        (lambda s: s["live"].update(requests_per_second=0), "requests_per_second"),
        (lambda s: s["versions"][0].update(expect="maybe"), "expect"),
        (lambda s: s["live"].update(order="random"), "order"),
    ],
)
def test_impossible_scenarios_are_refused(tmp_path, change, expected):
    raw = yaml.safe_load((FLIGHTS / "run.yaml").read_text())
    change(raw)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError, match=expected):
        load_scenario(tmp_path / "run.yaml")


def test_extra_columns_become_features_and_are_checked():
    case = read_use_case(FLIGHTS / "config.yaml", extra_numbers=["air_time"])
    assert "air_time" in yaml.safe_load(case.config)["features"]["numbers"]
    with pytest.raises(ConfigError, match="twice"):
        read_use_case(FLIGHTS / "config.yaml", extra_numbers=["distance"])


def test_a_schema_that_is_not_there_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_text((FLIGHTS / "config.yaml").read_text())
    with pytest.raises(ConfigError, match=r"validation\.schema: no file"):
        read_use_case(tmp_path / "config.yaml")


def test_shares_follow_the_journal():
    start = Started(
        endpoint="e",
        champion_version="1",
        candidate_version="2",
        champion_deployed="b",
        candidate_deployed="c",
        traffic={"b": 100},
    )
    traffics = [{"b": 95, "c": 5}, {"b": 75, "c": 25}, {"b": 100}]
    entries = [Entry(number=0, time=0.0, event=start)]
    entries += [Entry(number=i, time=float(i), event=TrafficSet(step=0, traffic=t)) for i, t in enumerate(traffics, 1)]
    assert shares(entries) == [5, 25, 0]
    assert shares([]) == []
