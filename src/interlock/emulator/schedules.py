"""ScheduleService: pipeline jobs started by cron.

::

    ACTIVE ──pause──> PAUSED ──resume──> ACTIVE ──maxRunCount started, or endTime──> COMPLETED
                                           └── update with more runs or a later end ──┘ (back to ACTIVE)

Once a second every due schedule starts a run. At its limit of active runs a due run is skipped, or waits with
``allowQueueing``. Runs that were due while a schedule was paused are skipped, or made up for one by one with
``catchUp``. Assumption: both limits, concurrent and concurrent active runs, count jobs that have not ended. Runs due
while the emulator was down are skipped, which the service, never being down, has no rule for.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from interlock.emulator.call import Call
from interlock.emulator.cron import parse_cron
from interlock.emulator.listing import page
from interlock.emulator.masks import masked_update
from interlock.emulator.names import Location, new_id
from interlock.emulator.operations import Operations
from interlock.emulator.pipeline_jobs import PipelineJobs
from interlock.emulator.rpc import Document, RpcError, check_etag, invalid, not_found, precondition
from interlock.emulator.store import Store, public

KIND = "schedule"
_TICK_SECONDS = 1.0
_MUTABLE = (
    *("displayName", "cron", "startTime", "endTime", "allowQueueing", "maxRunCount"),
    *("maxConcurrentRunCount", "maxConcurrentActiveRunCount", "createPipelineJobRequest"),
)
_Count = int | str  # int64 travels as text
log = logging.getLogger(__name__)


class _Request(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pipeline_job: dict[str, Any]


class _Schedule(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    display_name: str = ""
    cron: str = ""
    start_time: str = ""
    end_time: str = ""
    allow_queueing: bool = False
    max_run_count: _Count = 0
    max_concurrent_run_count: _Count = 0
    max_concurrent_active_run_count: _Count = 0
    create_pipeline_job_request: _Request | None = None
    etag: str = ""


class _Resume(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    catch_up: bool = False


class Schedules:
    """Schedules in the store, and the clock that starts their runs. ``now`` gives the time in UTC."""

    def __init__(
        self,
        store: Store,
        location: Location,
        operations: Operations,
        jobs: PipelineJobs,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._location = location
        self._operations = operations
        self._jobs = jobs
        self._now = now
        self._clock: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Skip what was due while the emulator was down, then start the clock."""
        for schedule in self._store.all(KIND):
            if schedule["state"] == "ACTIVE" and not schedule.get("catchUp"):
                self._store.put(KIND, self._with_next(schedule, self._now()))
        self._clock = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop the clock."""
        if self._clock is not None:
            self._clock.cancel()
            await asyncio.gather(self._clock, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                self.tick()
            except (sqlite3.Error, RpcError):  # a full disk, for instance: the clock goes on and tries again
                log.exception("schedules: this second's runs are not started")
            await asyncio.sleep(_TICK_SECONDS)

    def tick(self) -> None:
        """Start, skip or queue every run that is due."""
        now = self._now()
        for schedule in self._store.all(KIND):
            if schedule["state"] == "ACTIVE" and _moment(schedule["nextRunTime"]) <= now:
                self._fire(schedule, now)

    def _fire(self, schedule: Document, now: datetime) -> None:
        due = _moment(schedule["nextRunTime"])
        if self._jobs.active_runs(schedule["name"]) >= _limit(schedule):
            if not schedule.get("allowQueueing"):
                self._store.put(KIND, self._with_next(schedule, now))
            return
        with self._store.transaction():
            name, response = self._start_run(schedule, due)
            keeps_up = schedule.get("catchUp") or schedule.get("allowQueueing")
            changed = {
                **schedule,
                "startedRunCount": str(int(schedule["startedRunCount"]) + bool(name)),
                "lastScheduledRunResponse": {"scheduledRunTime": _text(due), "runResponse": response},
            }
            self._store.put(KIND, self._with_next(changed, due if keeps_up else now))

    def _start_run(self, schedule: Document, due: datetime) -> tuple[str, str]:
        job = schedule["createPipelineJobRequest"]["pipelineJob"]
        pipeline = job["pipelineSpec"].get("pipelineInfo", {}).get("name", "scheduled")
        identifier = f"{pipeline}-{due:%Y%m%d%H%M%S}-{new_id()[:6]}"
        try:
            name = self._jobs.submit(job, identifier, schedule=schedule["name"])["name"]
        except RpcError as error:
            log.warning("%s: run of %s not started: %s", schedule["name"], _text(due), error)
            return "", f"{error.status}: {error.message}"
        return name, name

    def _with_next(self, schedule: Document, after: datetime) -> Document:
        """``schedule`` with its next run after ``after``, or completed."""
        begin = _moment(schedule.get("startTime", ""))
        end = _moment(schedule.get("endTime", ""))
        runs = int(schedule.get("maxRunCount", 0))
        upcoming = parse_cron(schedule["cron"]).next_after(max(after, begin))
        over = upcoming is None or ("endTime" in schedule and upcoming > end)
        if over or (runs and int(schedule["startedRunCount"]) >= runs):
            done = {key: value for key, value in schedule.items() if key != "nextRunTime"}
            return {**done, "state": "COMPLETED", "updateTime": _text(self._now())}
        assert upcoming is not None
        return {**schedule, "nextRunTime": _text(upcoming)}

    # --- calls -----------------------------------------------------------------------------------------

    def create(self, call: Call) -> Document:
        """CreateSchedule: active from now on."""
        self._check(call, call.body)
        now = self._now()
        given = {key: value for key, value in public(call.body).items() if key in _MUTABLE}
        schedule = {
            **given,
            "name": self._location.name("schedules", new_id()),
            "startTime": given.get("startTime") or _text(now),
            "state": "ACTIVE",
            "startedRunCount": "0",
            "createTime": _text(now),
            "updateTime": _text(now),
        }
        return public(self._store.put(KIND, self._with_next(schedule, now)))

    def get(self, call: Call) -> Document:
        """GetSchedule."""
        return public(self._read(call))

    def list_schedules(self, call: Call) -> Document:
        """ListSchedules, newest first."""
        return page([public(schedule) for schedule in self._store.all(KIND)], call.query, "schedules")

    def update(self, call: Call) -> Document:
        """UpdateSchedule: the next run follows the new times; a completed one with runs left is active again."""
        schedule = self._read(call)
        check_etag(schedule["name"], call.typed(_Schedule).etag, schedule["etag"])
        changed = masked_update(schedule, call.body, call.query.get("updateMask", ""), _MUTABLE)
        self._check(call, changed)
        changed["updateTime"] = _text(self._now())
        if changed["state"] != "PAUSED":
            changed = self._with_next({**changed, "state": "ACTIVE"}, self._now())
        return public(self._store.put(KIND, changed))

    def pause(self, call: Call) -> Document:
        """PauseSchedule: no run starts; those that run go on."""
        schedule = self._read(call)
        if schedule["state"] != "ACTIVE":
            raise precondition(f"{schedule['name']} is {schedule['state']}: only an ACTIVE schedule can be paused")
        now = _text(self._now())
        self._store.put(KIND, {**schedule, "state": "PAUSED", "lastPauseTime": now, "updateTime": now})
        return {}

    def resume(self, call: Call) -> Document:
        """ResumeSchedule, with ``catchUp`` for the runs missed meanwhile."""
        schedule = self._read(call)
        if schedule["state"] != "PAUSED":
            raise precondition(f"{schedule['name']} is {schedule['state']}: only a PAUSED schedule can be resumed")
        catch_up = call.typed(_Resume).catch_up
        now = self._now()
        active = {**schedule, "state": "ACTIVE", "catchUp": catch_up, "lastResumeTime": _text(now)}
        self._store.put(KIND, active if catch_up else self._with_next(active, now))
        return {}

    def delete(self, call: Call) -> Document:
        """DeleteSchedule; its jobs stay."""
        schedule = self._read(call)
        with self._store.transaction():
            self._store.delete(schedule["name"])
            return self._operations.complete(call, "DeleteSchedule", "", {})

    def _read(self, call: Call) -> Document:
        name = self._location.name("schedules", call.ids[0])
        schedule = self._store.get(name)
        if schedule is None:
            raise not_found(name)
        return schedule

    def _check(self, call: Call, document: Document) -> None:
        schedule = call.typed(_Schedule, document)
        if not schedule.display_name:
            raise invalid("schedule.displayName is required")
        if schedule.create_pipeline_job_request is None:
            raise invalid("schedule.createPipelineJobRequest is required; no other request is served")
        if _count("maxConcurrentRunCount", schedule.max_concurrent_run_count) < 1:
            raise invalid("schedule.maxConcurrentRunCount is required: give 1 or more")
        _count("maxConcurrentActiveRunCount", schedule.max_concurrent_active_run_count)
        _count("maxRunCount", schedule.max_run_count)
        parse_cron(schedule.cron)
        begin, end = _moment(schedule.start_time), _moment(schedule.end_time)
        if schedule.end_time and end <= begin:
            raise invalid(f"endTime {schedule.end_time} is not after startTime {schedule.start_time}")
        self._jobs.check(schedule.create_pipeline_job_request.pipeline_job)


def _limit(schedule: Document) -> int:
    limits = [int(schedule.get(key, 0)) for key in ("maxConcurrentRunCount", "maxConcurrentActiveRunCount")]
    return min(limit for limit in limits if limit)


def _count(what: str, value: int | str) -> int:
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise invalid(f"{what} {value!r} is not a number of 0 or more")
    if int(value) < 0:
        raise invalid(f"{what} {value} is below 0")
    return int(value)


def _moment(text: str) -> datetime:
    """An RFC 3339 time; '' is long ago."""
    if not text:
        return datetime.min.replace(tzinfo=UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(f"{text!r} is not a time like 2026-11-24T09:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
