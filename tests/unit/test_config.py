"""The config refuses what cannot work: file, key, value, and what is allowed."""

from pathlib import Path

import pytest
import yaml

from interlock.config import load_config, parse_config
from interlock.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights" / "config.yaml"


def changed(change):
    """The example's text after ``change`` was applied to its data."""
    raw = yaml.safe_load(EXAMPLE.read_text())
    change(raw)
    return yaml.safe_dump(raw)


def test_the_example_is_valid():
    config = load_config(EXAMPLE)
    assert config.name == "flights"
    assert [step.weight for step in config.strategy.steps] == [5, 25, 50]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda c: c.update(lable={}), ["lable", "allowed keys", "label"], id="unknown key"),
        pytest.param(lambda c: c.update(featurs={}), ["featurs", "did you mean features?"], id="misspelt key"),
        pytest.param(
            lambda c: c["source"].update(key=["Customer ID"]),
            ["source.key[0]", "letters, digits and _", "source.rename", "'Customer ID'"],
            id="column with a space",
        ),
        pytest.param(lambda c: c.pop("label"), ["label", "missing"], id="missing key"),
        pytest.param(lambda c: c.update(seed="x"), ["seed", "int", "'x'"], id="wrong type"),
        pytest.param(lambda c: c.update(name="No Good"), ["name", "No Good"], id="bad name"),
        pytest.param(
            lambda c: c["source"].update(keys=["x"]), ["source", "keys", "table, time, key, join"], id="nested key"
        ),
        pytest.param(
            lambda c: c["strategy"]["steps"].reverse(),
            ["strategy.steps", "[50, 25, 5]", "ascend"],
            id="weights descend",
        ),
        pytest.param(
            lambda c: c["strategy"]["steps"][0].update(weight=0), ["strategy.steps[0].weight", "0"], id="weight of zero"
        ),
        pytest.param(
            lambda c: c["metrics"][0].update(value="revenue"),
            ["metrics[0].value", "revenue"],
            id="metric without source",
        ),
        pytest.param(
            lambda c: c["gates"]["metrics"].append({"metric": "auc", "slice": "planet", "at_least": 0.5}),
            ["gates.metrics[5].slice", "planet", "carrier, origin"],
            id="slice on a column that is none",
        ),
        pytest.param(
            lambda c: c["gates"]["metrics"][0].update(at_most=0.9), ["gates.metrics[0]", "exactly one"], id="two limits"
        ),
        pytest.param(lambda c: c["gates"].update(metrics=[]), ["gates.metrics", ">= 1"], id="no rules"),
        pytest.param(
            lambda c: c["gates"]["metrics"][0].update(metric="acc"),
            ["gates.metrics[0].metric", "acc"],
            id="unknown metric",
        ),
        pytest.param(lambda c: c["split"].update(test=0.95), ["split", "0.95", "below 1"], id="nothing to train on"),
        pytest.param(
            lambda c: c["features"]["numbers"].append("late"), ["features", "late", "label"], id="label as input"
        ),
        pytest.param(
            lambda c: c["features"]["numbers"].append("carrier"), ["features", "carrier", "twice"], id="twice"
        ),
        pytest.param(lambda c: c["metrics"][0].pop("cap"), ["metrics[0].cap", "5"], id="mean without a cap"),
        pytest.param(lambda c: c["metrics"].pop(0), ["metrics", "business"], id="no business metric"),
    ],
)
def test_impossible_configs_are_refused(change, expected):
    with pytest.raises(ConfigError) as caught:
        parse_config(changed(change), "use.yaml")
    message = str(caught.value)
    assert message.startswith("use.yaml: ")
    for part in expected:
        assert part in message


@pytest.mark.parametrize(("text", "next_step"), [("", "interlock init TABLE"), ("a: 1\n\tb: 2", "indent with spaces")])
def test_a_file_that_says_nothing_or_has_tabs_is_told_how_to_go_on(text, next_step):
    with pytest.raises(ConfigError, match=next_step):
        parse_config(text, "use.yaml")


@pytest.mark.parametrize("text", ["", "[]", "name: [", "- a\n- b", "\0"])
def test_what_is_no_config_is_refused(text):
    with pytest.raises(ConfigError):
        parse_config(text, "use.yaml")


def test_missing_and_unreadable_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: No such file"):
        load_config(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "binary.yaml")


def test_on_is_a_key_and_not_a_boolean():
    text = EXAMPLE.read_text().replace(
        "{metric: auc, slice: origin, at_least: 0.80}", "{metric: auc, slice: origin, at_least: 0.80, on: bound}"
    )
    assert [rule.on for rule in parse_config(text).gates.metrics[:2]] == [None, "bound"]
