"""What a job process reports, folded into the document of its pipeline job. Pure functions.

The events are those of :mod:`interlock.local.events`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from interlock.emulator.names import timestamp
from interlock.emulator.rpc import STATUSES, Document

_RUNNING_TASK = ("PENDING", "RUNNING", "CANCELLING")


class TaskEvent(msgspec.Struct, frozen=True, tag_field="event", tag="task"):
    """A task began or ended. ``log`` tells the runs of one task apart."""

    task: str
    state: Literal["RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "SKIPPED", "NOT_TRIGGERED", "PENDING"]
    time: float
    log: str = ""
    error: str = ""
    inputs: dict[str, Any] = {}
    input_artifacts: dict[str, str] = {}
    outputs: dict[str, Any] = {}
    artifacts: dict[str, str] = {}
    metadata: dict[str, dict[str, Any]] = {}


class JobEvent(msgspec.Struct, frozen=True, tag_field="event", tag="job"):
    """The job ended."""

    state: Literal["SUCCEEDED", "FAILED", "CANCELLED"]
    error: str = ""
    time: float = 0.0


Event = TaskEvent | JobEvent


def with_task(job: Document, event: TaskEvent) -> Document:
    """``job`` after a task event."""
    details = [dict(detail) for detail in job["jobDetail"]["taskDetails"]]
    detail = next((entry for entry in details if entry["_run"] == _run(event)), None)
    if detail is None:
        detail = {
            "taskId": str(len(details) + 1),
            "taskName": event.task,
            "createTime": _time(event.time),
            "startTime": _time(event.time),
            "pipelineTaskStatus": [],
            "_run": _run(event),
        }
        details.append(detail)
    detail["state"] = event.state
    detail["pipelineTaskStatus"] = [
        *detail["pipelineTaskStatus"],
        {"updateTime": _time(event.time), "state": event.state},
    ]
    if event.state not in _RUNNING_TASK:
        detail["endTime"] = _time(event.time)
        detail |= _results(job, event)
    return {**job, "jobDetail": {**job["jobDetail"], "taskDetails": details}, "updateTime": timestamp()}


def _results(job: Document, event: TaskEvent) -> Document:
    values = {f"input:{key}": value for key, value in event.inputs.items()}
    values |= {f"output:{key}": value for key, value in event.outputs.items()}
    results: Document = {
        "execution": {
            "displayName": event.task,
            "state": "COMPLETE" if event.state == "SUCCEEDED" else "FAILED",
            "schemaTitle": "system.ContainerExecution",
            "metadata": {**values, "log": event.log},
        },
        "inputs": {
            key: {"artifacts": [{"displayName": key, "uri": uri}]} for key, uri in event.input_artifacts.items()
        },
        "outputs": {
            key: {"artifacts": [{"displayName": key, "uri": uri, "metadata": event.metadata.get(key, {})}]}
            for key, uri in event.artifacts.items()
        },
    }
    if event.error:
        results["error"] = {"code": STATUSES["INTERNAL"].number, "message": event.error}
    return results


def ended(job: Document, state: str, error: str = "") -> Document:
    """``job`` in a terminal ``state`` (SUCCEEDED, FAILED, CANCELLED); tasks that still ran end with it."""
    now = timestamp()
    details = [
        detail if detail["state"] not in _RUNNING_TASK else {**detail, "state": "CANCELLED", "endTime": now}
        for detail in job["jobDetail"]["taskDetails"]
    ]
    ending: Document = {"state": f"PIPELINE_STATE_{state}", "endTime": now, "updateTime": now}
    if state != "SUCCEEDED":
        status = "CANCELLED" if state == "CANCELLED" else "FAILED_PRECONDITION"
        ending["error"] = {"code": STATUSES[status].number, "message": error}
    return {**job, **ending, "jobDetail": {**job["jobDetail"], "taskDetails": details}}


def _run(event: TaskEvent) -> str:
    return event.log or event.task


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
