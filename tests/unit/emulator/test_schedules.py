"""The rules of schedules against a clock that the test moves."""

from datetime import UTC, datetime, timedelta

import pytest

from interlock.emulator.call import Call
from interlock.emulator.names import Location
from interlock.emulator.operations import Operations
from interlock.emulator.rpc import RpcError, precondition
from interlock.emulator.schedules import Schedules
from interlock.emulator.store import Store

LOCATION = Location("p", "us-central1")
START = datetime(2026, 11, 24, 10, 0, 30, tzinfo=UTC)
BODY = {
    "displayName": "nightly",
    "cron": "* * * * *",
    "maxConcurrentRunCount": "1",
    "createPipelineJobRequest": {"pipelineJob": {"pipelineSpec": {"pipelineInfo": {"name": "train"}}}},
}


class Jobs:
    """Pipeline jobs that start and end when the test says so."""

    def __init__(self):
        self.started = []
        self.active = 0
        self.refuse = False

    def check(self, body):
        assert "pipelineSpec" in body

    def active_runs(self, schedule):
        return self.active

    def submit(self, body, identifier, schedule):
        if self.refuse:
            raise precondition("no")
        self.started.append(identifier)
        return {"name": LOCATION.name("pipelineJobs", identifier)}


class Line:
    """A schedule service with its clock and its jobs."""

    def __init__(self, path):
        self.now = START
        self.jobs = Jobs()
        self.store = Store(path)
        operations = Operations(self.store, LOCATION)
        self.schedules = Schedules(self.store, LOCATION, operations, self.jobs, lambda: self.now)

    def create(self, **fields):
        created = self.schedules.create(self.call(body={**BODY, **fields}))
        self.id = created["name"].rpartition("/")[2]
        return created

    def call(self, body=None, **query):
        return Call(version="v1", ids=(getattr(self, "id", ""),), query=query, body=body or {})

    def state(self):
        return self.schedules.get(self.call())

    def run(self, minutes):
        for _ in range(minutes * 6):
            self.now += timedelta(seconds=10)
            self.schedules.tick()


@pytest.fixture
def line(tmp_path):
    line = Line(tmp_path / "db")
    yield line
    line.store.close()


def test_it_fires_every_minute(line):
    created = line.create()
    assert (created["state"], created["nextRunTime"]) == ("ACTIVE", "2026-11-24T10:01:00.000000Z")
    line.run(3)
    assert [name[:20] for name in line.jobs.started] == [
        "train-20261124100100",
        "train-20261124100200",
        "train-20261124100300",
    ]
    assert line.state()["startedRunCount"] == "3"
    assert line.state()["lastScheduledRunResponse"]["scheduledRunTime"] == "2026-11-24T10:03:00.000000Z"


def test_it_completes_after_its_runs_and_goes_on_when_given_more(line):
    line.create(maxRunCount="2")
    line.run(5)
    assert (len(line.jobs.started), line.state()["state"]) == (2, "COMPLETED")
    assert "nextRunTime" not in line.state()
    line.schedules.update(line.call({"maxRunCount": "3"}, updateMask="max_run_count"))
    line.run(5)
    assert (len(line.jobs.started), line.state()["state"]) == (3, "COMPLETED")


def test_it_completes_at_its_end_and_waits_for_its_start(line):
    line.create(startTime="2026-11-24T10:02:30Z", endTime="2026-11-24T10:04:30Z")
    line.run(2)
    assert line.jobs.started == []
    line.run(5)
    assert (len(line.jobs.started), line.state()["state"]) == (2, "COMPLETED")


def test_paused_means_no_run_and_resumed_goes_on_from_now(line):
    line.create()
    line.schedules.pause(line.call())
    line.run(5)
    assert (line.jobs.started, line.state()["state"]) == ([], "PAUSED")
    line.schedules.resume(line.call())
    line.run(1)
    assert len(line.jobs.started) == 1
    with pytest.raises(RpcError, match="ACTIVE"):
        line.schedules.resume(line.call())


def test_catching_up_makes_up_for_every_missed_run(line):
    line.create()
    line.schedules.pause(line.call())
    line.run(3)
    line.schedules.resume(line.call({"catchUp": True}))
    line.run(1)
    assert len(line.jobs.started) == 4


def test_a_run_at_the_limit_is_skipped_or_queued(line):
    line.create()
    line.jobs.active = 1
    line.run(3)
    line.jobs.active = 0
    line.run(1)
    assert len(line.jobs.started) == 1
    line.schedules.update(line.call({"allowQueueing": True}, updateMask="allowQueueing"))
    line.jobs.active = 1
    line.run(2)
    assert len(line.jobs.started) == 1
    line.jobs.active = 0
    line.run(1)
    assert len(line.jobs.started) == 4


def test_a_run_that_is_refused_is_shown_and_does_not_count(line):
    line.create()
    line.jobs.refuse = True
    line.run(1)
    assert line.state()["startedRunCount"] == "0"
    assert line.state()["lastScheduledRunResponse"]["runResponse"] == "FAILED_PRECONDITION: no"


def test_what_was_due_while_nothing_ran_is_skipped(line):
    line.create()
    line.now += timedelta(hours=1)

    async def restart():
        line.schedules.start()
        await line.schedules.stop()

    import asyncio

    asyncio.run(restart())
    assert line.jobs.started == []
    assert line.state()["nextRunTime"] == "2026-11-24T11:01:00.000000Z"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"displayName": ""}, "displayName"),
        ({"cron": "often"}, "cron"),
        ({"maxConcurrentRunCount": 0}, "maxConcurrentRunCount"),
        ({"maxRunCount": "many"}, "maxRunCount"),
        ({"endTime": "soon"}, "not a time"),
        ({"startTime": "2026-01-02T00:00:00Z", "endTime": "2026-01-01T00:00:00Z"}, "endTime"),
        ({"createPipelineJobRequest": None}, "createPipelineJobRequest"),
    ],
)
def test_what_is_no_schedule_is_refused(line, fields, message):
    with pytest.raises(RpcError, match=message):
        line.create(**fields)
    assert line.schedules.list_schedules(line.call()) == {"schedules": []}


def test_a_stale_etag_is_aborted(line):
    created = line.create()
    line.schedules.update(line.call({"displayName": "x", "etag": created["etag"]}, updateMask="displayName"))
    with pytest.raises(RpcError, match="stale"):
        line.schedules.update(line.call({"displayName": "y", "etag": created["etag"]}, updateMask="displayName"))
    assert line.state()["displayName"] == "x"
