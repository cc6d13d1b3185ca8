import pytest

from interlock.emulator.deployments import Deployment, Route, logged_share, replica_count
from interlock.emulator.routes import match


def deployment(identifier):
    return Deployment({"id": identifier, "model": "m", "modelVersionId": "1"}, "m")


def route(split):
    return Route("e", split, {key: deployment(key) for key in ("a", "b", "c")}, 0.0)


@pytest.mark.parametrize(
    ("draw", "chosen"), [(0.0, "a"), (0.0999, "a"), (0.1, "c"), (0.6999, "c"), (0.7, "b"), (0.9999, "b")]
)
def test_choose_follows_the_shares(draw, chosen):
    assert route({"a": 10, "c": 60, "b": 30}).choose(draw).id == chosen


def test_zero_share_is_never_chosen():
    only = route({"a": 0, "b": 100})
    assert {only.choose(draw / 100).id for draw in range(100)} == {"b"}


def test_no_traffic_chooses_nothing():
    assert route({}).choose() is None
    assert route({"a": 0}).choose() is None


def test_answer_tail_closes_the_predictions():
    assert (b'{"predictions":[1]' + deployment("7").answer_tail).startswith(
        b'{"predictions":[1],"deployedModelId":"7",'
    )


@pytest.mark.parametrize(
    ("path", "pattern", "ids"),
    [
        ("models", "models", ()),
        ("models:upload", "models:upload", ()),
        ("models/7@2:mergeVersionAliases", "models/*:mergeVersionAliases", ("7@2",)),
        ("models/7/evaluations:import", "models/*/evaluations:import", ("7",)),
        (
            "models/7/evaluations/8/slices:batchImport",
            "models/*/evaluations/*/slices:batchImport",
            ("7", "8"),
        ),
        ("endpoints/5/operations/9", "operations/*", ("9",)),
        ("operations/9:wait", "operations/*:wait", ("9",)),
        ("endpoints/operations", "endpoints/*", ("operations",)),
    ],
)
def test_match(path, pattern, ids):
    assert match(path) == (pattern, ids)


@pytest.mark.parametrize(
    ("entry", "count"),
    [
        ({}, 1),
        ({"dedicatedResources": {"minReplicaCount": 2}}, 2),
        ({"automaticResources": {"minReplicaCount": 9}}, 4),
    ],
)
def test_replica_count(entry, count):
    assert replica_count(entry) == count


@pytest.mark.parametrize(
    ("config", "share"),
    [
        (None, 0.0),
        ({"samplingRate": 0.5}, 0.0),
        ({"enabled": True, "samplingRate": 0.5}, 0.5),
        ({"enabled": True}, 1.0),
    ],
)
def test_logged_share(config, share):
    assert logged_share({"predictRequestResponseLoggingConfig": config}) == share
