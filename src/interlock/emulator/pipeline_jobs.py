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
from interlock.emulator.job_process import JobProcesses
from interlock.emulator.listing import page
from interlock.emulator.names import Location, new_id, timestamp
from interlock.emulator.operations import Operations
from interlock.emulator.rpc import Document, already_exists, invalid, not_found, precondition
from interlock.emulator.store import Store, public
from interlock.errors import InputError

KIND = "pipelineJob"
_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
_ACTIVE = ("PIPELINE_STATE_RUNNING", "PIPELINE_STATE_CANCELLING")


class _RuntimeConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    parameter_values: dict[str, Any] = {}
    gcs_output_directory: str = ""


class _PipelineJob(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    display_name: str = ""
    labels: dict[str, str] = {}
    pipeline_spec: dict[str, Any] = {}
    runtime_config: _RuntimeConfig = _RuntimeConfig()


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
        body = call.typed(_PipelineJob)
        identifier = call.query.get("pipelineJobId") or f"pipeline-{new_id()}"
        if not _ID.fullmatch(identifier):
            raise invalid(f"pipelineJobId {identifier!r}: give up to 128 of a-z, 0-9 and -, starting with a letter")
        name = self._location.name("pipelineJobs", identifier)
        if self._store.get(name) is not None:
            raise already_exists(name)
        if not body.pipeline_spec:
            raise invalid("pipelineJob.pipelineSpec is empty: send the compiled pipeline (templateUri is not served)")
        parameters = body.runtime_config.parameter_values
        _check_parameters(body.pipeline_spec, parameters)
        now = timestamp()
        job = {
            "displayName": identifier,
            **public(call.body),
            "name": name,
            "state": "PIPELINE_STATE_RUNNING",
            "createTime": now,
            "startTime": now,
            "updateTime": now,
            "jobDetail": {"taskDetails": []},
        }
        self._store.put(KIND, job)
        self._processes.start(identifier, body.pipeline_spec, parameters, lambda event: self._report(name, event))
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

    def _read(self, call: Call) -> Document:
        name = self._location.name("pipelineJobs", call.ids[0])
        job = self._store.get(name)
        if job is None:
            raise not_found(name)
        return job


def _check_parameters(spec: Document, parameters: Document) -> None:
    from interlock.local.parameters import convert_parameters

    try:
        convert_parameters(spec, parameters)
    except InputError as error:
        raise invalid(f"runtimeConfig.parameterValues: {error}") from error


def _answer(job: Document) -> Document:
    answer = public(job)
    answer.pop("etag", None)
    details = [public(detail) for detail in job["jobDetail"]["taskDetails"]]
    return {**answer, "jobDetail": {**job["jobDetail"], "taskDetails": details}}
