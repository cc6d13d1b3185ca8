"""From alarms to deeds: by the declared policy, not while a rollout judges for itself, and each failure is told."""

import msgspec
import pytest

from interlock.contracts import MonitoringCheck, MonitoringReport
from interlock.errors import EndpointError, EnvironmentProblem
from interlock.monitoring.act import act, failures
from interlock.monitoring.record import earlier_windows, last_training, write_record
from interlock.monitoring.window import Window

from .conftest import NOW, use_case

POLICY = """actions: {skew: [train, alert], errors: [alert, roll back], latency: [hold], missing: [alert]}"""


class Fake:
    """Hands that keep what they did, and can be told to fail."""

    def __init__(self, failing=""):
        self.did, self.failing = [], failing

    def _do(self, action, detail):
        self.did.append((action, detail))
        if action == self.failing:
            raise EndpointError("version none: nothing to go back to")
        return f"{action} done"

    def roll_back(self, reason):
        return self._do("roll back", reason)

    def train(self):
        return self._do("train", "")

    def alert(self, report):
        return self._do("alert", [each.outcome for each in report.actions])


def report(*checks):
    found = [MonitoringCheck(check=name, status=status, reason=f"{name} 2 > 1") for name, status in checks]
    return MonitoringReport(
        endpoint="shop", version="1", since=NOW - 3600, until=NOW, requests=1, failed=0, with_outcome=0, cost=None,
        expected_cost=None, score_divergence=None, verdict="alert", reasons=[], checks=found,
    )  # fmt: skip


def acted(checks, hands, **more):
    known = {"now": NOW, "open_rollouts": [], "last_training": None} | more
    return act(use_case(POLICY), report(*checks), hands, **known)


def test_users_first_then_who_is_told():
    hands = Fake()
    done = acted([("skew", "alarm"), ("errors", "alarm")], hands)
    assert hands.did == [("roll back", "monitoring: errors 2 > 1"), ("train", ""), ("alert", ["done", "done"])]
    assert [each.action for each in done.actions] == ["roll back", "train", "alert"]
    assert done.actions[2].because == ["skew 2 > 1", "errors 2 > 1"]
    assert failures(done) == []


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ([("latency", "alarm")], []),
        ([("skew", "ok")], []),
        ([("skew", "missing")], ["alert"]),
        ([("quality", "alarm")], ["alert"]),
    ],
)
def test_policy(checks, expected):
    hands = Fake()
    acted(checks, hands)
    assert [action for action, _ in hands.did] == expected


def test_a_rollout_under_way_judges_for_itself():
    hands = Fake()
    done = acted([("skew", "alarm"), ("errors", "alarm")], hands, open_rollouts=["r7"])
    assert [action for action, _ in hands.did] == ["alert"]
    assert {each.outcome for each in done.actions if each.action != "alert"} == {"held"}
    assert done.actions[0].detail == "rollout r7 is under way, and judges for itself"


def test_no_second_training_within_the_hours():
    hands = Fake()
    done = acted([("skew", "alarm")], hands, last_training=NOW - 3600)
    assert done.actions[0].detail == "the last training was submitted 1.00 h ago < 24 h"
    acted([("skew", "alarm")], hands, last_training=NOW - 25 * 3600)
    assert ("train", "") in hands.did


def test_one_that_fails_stops_no_other():
    hands = Fake(failing="roll back")
    done = acted([("errors", "alarm")], hands)
    assert failures(done) == ["roll back: version none: nothing to go back to"]
    assert hands.did[-1] == ("alert", ["failed"])


def test_records_feed_the_windows_that_come(engine):
    def write(until, features, action="alert"):
        done = acted([("skew", "alarm")], Fake(failing="" if action == "train" else "train"))
        told = msgspec.structs.replace(done, since=until - 100, until=until)
        window = Window(
            version="1", since=until - 100, until=until, traffic={}, features=features, distinct_keys=0, outside=[],
            answers={}, newest_outcome=None,
        )  # fmt: skip
        write_record(engine, told, window, until)

    assert last_training(engine, "shop") is None
    for until in (100, 150, 200, 300):
        write(until, {"x": [until]})
    write(400, {})
    assert last_training(engine, "shop") is None
    write(500, {"x": [500]}, "train")
    assert last_training(engine, "shop") == 500
    assert last_training(engine, "other") is None
    found = earlier_windows(engine, "shop", "1", until=400, count=3)
    assert found == [{"x": [100]}, {"x": [200]}, {"x": [300]}]  # not 150, which overlaps, nor the empty one
    assert earlier_windows(engine, "shop", "2", until=400, count=3) == []


def test_a_record_that_cannot_be_written_is_an_error(engine):
    import sqlalchemy as sa

    from interlock.errors import EvidenceError

    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE monitoring_log"))
    window = Window(
        version="1", since=0, until=1, traffic={}, features={}, distinct_keys=0, outside=[], answers={},
        newest_outcome=None,
    )  # fmt: skip
    with pytest.raises(EvidenceError, match="monitoring log cannot be written: no such table"):
        write_record(engine, report(), window, NOW)


def test_environment_problems_are_kept_too():
    class Down(Fake):
        def alert(self, report):
            raise EnvironmentProblem("webhook does not answer")

    assert failures(acted([("quality", "alarm")], Down())) == ["alert: webhook does not answer"]
