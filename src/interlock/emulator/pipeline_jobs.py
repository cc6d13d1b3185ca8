"""PipelineService: pipeline jobs.

::

    RUNNING ──tasks done──> SUCCEEDED
       ├──a task failed, or the emulator restarted──> FAILED
       └──cancel──> CANCELLING ──process gone──> CANCELLED
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from interlock.emulator.call import Call
from interlock.emulator.job_events import Event, JobEvent, ended, with_task
from interlock.emulator.job_process import JobProcesses, JobRun
from interlock.emulator.listing import page
from interlock.emulator.names import Location, new_id, timestamp
from interlock.emulator.operations import Operations
from interlock.emulator.rpc import Document, already_exists, invalid, not_found, precondition
from interlock.emulator.store import Store, public
from interlock.errors import EnvironmentProblem, InputError

KIND = "pipelineJob"
_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
_OUTPUT_ONLY = (
    "name",
    "createTime",
    "startTime",
    "endTime",
    "updateTime",
    "state",
    "error",
    "jobDetail",
    "scheduleName",
)
_LARGEST_BATCH = 32  # the service's limit
_ACTIVE = ("PIPELINE_STATE_RUNNING", "PIPELINE_STATE_CANCELLING")


class _RuntimeConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    parameter_values: dict[str, Any] = {}
    gcs_output_directory: str = ""
    failure_policy: int | str = 0


class _PipelineJob(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    display_name: str = ""
    labels: dict[str, str] = {}
    pipeline_spec: dict[str, Any] = {}
    template_uri: str = ""
    runtime_config: _RuntimeConfig = _RuntimeConfig()


class _Batch(msgspec.Struct, frozen=True, kw_only=True):
    names: list[str]


_FAILURE_POLICIES = {
    0: "PIPELINE_FAILURE_POLICY_UNSPECIFIED",
    1: "PIPELINE_FAILURE_POLICY_FAIL_SLOW",
    2: "PIPELINE_FAILURE_POLICY_FAIL_FAST",
}


class PipelineJobs:
    """Pipeline jobs in the store, and the processes that run them."""

    def __init__(self, store: Store, location: Location, operations: Operations, processes: JobProcesses) -> None:
        self._store = store
        self._location = location
        self._operations = operations
        self._processes = processes

    def recover(self) -> None:
        """After a restart: no job is left running without a process."""
        for job in self._store.all(KIND):
            if job["state"] in _ACTIVE:
                stopped = "the emulator stopped while this job was running; submit it again"
                self._store.put(KIND, ended(job, "FAILED", stopped))

    def create(self, call: Call) -> Document:
        """CreatePipelineJob: checked, stored, started."""
        identifier = call.query.get("pipelineJobId") or f"pipeline-{new_id()}"
        return self.submit(call.body, identifier)

    def check(self, body: Document) -> None:
        """INVALID_ARGUMENT if ``body`` could not be submitted."""
        _checked(body)

    def active_runs(self, schedule: str) -> int:
        """Jobs of ``schedule`` that have not ended."""
        jobs = self._store.all(KIND)
        return sum(job.get("scheduleName") == schedule and job["state"] in _ACTIVE for job in jobs)

    def submit(self, body: Document, identifier: str, schedule: str = "") -> Document:
        """Store and start a job; ``schedule`` is the name of the schedule it belongs to."""
        checked = _checked(body)
        if not _ID.fullmatch(identifier):
            raise invalid(f"pipelineJobId {identifier!r}: give up to 128 of a-z, 0-9 and -, starting with a letter")
        name = self._location.name("pipelineJobs", identifier)
        if self._store.get(name) is not None:
            raise already_exists(name)
        now = timestamp()
        job = {
            "displayName": identifier,
            # Assumption: the default account is the project's; only its shape is documented.
            "serviceAccount": f"{self._location.project}-compute@developer.gserviceaccount.com",
            **{key: value for key, value in public(body).items() if key not in _OUTPUT_ONLY},
            **({"scheduleName": schedule} if schedule else {}),
            "name": name,
            "state": "PIPELINE_STATE_RUNNING",
            "createTime": now,
            "startTime": now,
            "updateTime": now,
            "jobDetail": {"taskDetails": []},
        }
        self._store.put(KIND, job)
        config = checked.runtime_config
        fail_fast = _policy(config.failure_policy) == "PIPELINE_FAILURE_POLICY_FAIL_FAST"
        run = JobRun(identifier, checked.pipeline_spec, config.parameter_values, fail_fast)
        self._processes.start(run, lambda event: self._report(name, event))
        return _answer(job)

    def _report(self, name: str, event: Event) -> None:
        job = self._store.get(name)
        if job is None:
            return
        if isinstance(event, JobEvent):
            # A process that was cancelled before it could listen for it ends without a verdict of its own.
            cancelled = job["state"] == "PIPELINE_STATE_CANCELLING" and event.state != "SUCCEEDED"
            changed = ended(job, "CANCELLED", "cancelled") if cancelled else ended(job, event.state, event.error)
        else:
            changed = with_task(job, event)
        self._store.put(KIND, changed)

    def get(self, call: Call) -> Document:
        """GetPipelineJob."""
        return _answer(self._read(call))

    def list_jobs(self, call: Call) -> Document:
        """ListPipelineJobs, newest first."""
        return page([_answer(job) for job in self._store.all(KIND)], call.query, "pipelineJobs")

    def cancel(self, call: Call) -> Document:
        """CancelPipelineJob: asynchronous; a job that has ended stays as it is."""
        job = self._read(call)
        if job["state"] == "PIPELINE_STATE_RUNNING":
            self._store.put(KIND, {**job, "state": "PIPELINE_STATE_CANCELLING", "updateTime": timestamp()})
            self._processes.cancel(call.ids[0])
        return {}

    def delete(self, call: Call) -> Document:
        """DeletePipelineJob, once it has ended."""
        job = self._read(call)
        if job["state"] in _ACTIVE:
            raise precondition(f"{job['name']} is in state {job['state']}: cancel it, and wait for its end")
        with self._store.transaction():
            self._store.delete(job["name"])
            return self._operations.complete(call, "DeletePipelineJob", "", {})

    def batch_cancel(self, call: Call) -> Document:
        """BatchCancelPipelineJobs: all names are checked before any job is cancelled."""
        calls = self._each(call)
        for each in calls:
            self._read(each)
        for each in calls:
            self.cancel(each)
        jobs = [self.get(each) for each in calls]
        return self._operations.complete(
            call, "BatchCancelPipelineJobs", "BatchCancelPipelineJobsResponse", {"pipelineJobs": jobs}
        )

    def batch_delete(self, call: Call) -> Document:
        """BatchDeletePipelineJobs: all or none."""
        calls = self._each(call)
        jobs = [self.get(each) for each in calls]
        with self._store.transaction():
            for each in calls:
                self.delete(each)
            return self._operations.complete(
                call, "BatchDeletePipelineJobs", "BatchDeletePipelineJobsResponse", {"pipelineJobs": jobs}
            )

    def _each(self, call: Call) -> list[Call]:
        names = list(dict.fromkeys(call.typed(_Batch).names))
        if not 1 <= len(names) <= _LARGEST_BATCH:
            raise invalid(f"names has {len(names)} entries; give 1 to {_LARGEST_BATCH}")
        return [
            msgspec.structs.replace(call, ids=(self._location.last_id(name, "pipelineJobs"),), body={})
            for name in names
        ]

    def _read(self, call: Call) -> Document:
        name = self._location.name("pipelineJobs", call.ids[0])
        job = self._store.get(name)
        if job is None:
            raise not_found(name)
        return job


def _checked(body: Document) -> _PipelineJob:
    """``body`` in the fields that are acted on, once it is certain that it can be started."""
    from interlock.local.kfp_hooks import require_kfp
    from interlock.local.parameters import convert_parameters

    try:
        require_kfp()
    except EnvironmentProblem as error:
        raise precondition(f"pipeline jobs cannot run here: {error}") from error
    try:
        job = msgspec.convert(body, _PipelineJob)
    except msgspec.ValidationError as error:
        raise invalid(f"invalid pipelineJob: {error}") from error
    if not job.pipeline_spec:
        raise invalid("pipelineJob.pipelineSpec is empty: send the compiled pipeline (templateUri is not served)")
    _policy(job.runtime_config.failure_policy)
    try:
        convert_parameters(job.pipeline_spec, job.runtime_config.parameter_values)
    except InputError as error:
        raise invalid(f"runtimeConfig.parameterValues: {error}") from error
    except (AttributeError, TypeError) as error:
        raise invalid(f"pipelineSpec is not a compiled pipeline: {error}") from error
    return job


def _policy(value: int | str) -> str:
    name = _FAILURE_POLICIES.get(value, "") if isinstance(value, int) else value
    if name not in _FAILURE_POLICIES.values():
        raise invalid(f"runtimeConfig.failurePolicy {value!r}: give one of {', '.join(_FAILURE_POLICIES.values())}")
    return name


def _answer(job: Document) -> Document:
    answer = public(job)
    answer.pop("etag", None)
    details = [public(detail) for detail in job["jobDetail"]["taskDetails"]]
    return {**answer, "jobDetail": {**job["jobDetail"], "taskDetails": details}}
