"""Pipeline jobs, by the SDK that users know."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from interlock.contracts import Place
from interlock.errors import EnvironmentProblem
from interlock.vertex.client import sdk

DONE = ("PIPELINE_STATE_SUCCEEDED", "PIPELINE_STATE_FAILED", "PIPELINE_STATE_CANCELLED")


class TaskState(msgspec.Struct, frozen=True, kw_only=True):
    """One task of a job; ``state`` is ``running``, ``succeeded``, ``failed``, ``skipped`` or ``pending``."""

    name: str
    state: str
    error: str = ""
    seconds: float | None = None


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands; ``state`` as for tasks."""

    name: str
    state: str
    error: str
    tasks: list[TaskState]


def submit(place: Place, template: Path | str, *, parameters: dict[str, Any], job_id: str) -> str:
    """Submit a compiled pipeline, a file or an address; returns the job's resource name."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError

    job = sdk(place).PipelineJob(
        display_name=job_id,
        template_path=str(template),
        job_id=job_id,
        parameter_values=parameters,
        pipeline_root=f"gs://{place.bucket}/pipeline_root",
        enable_caching=False,
    )
    try:
        job.submit(service_account=place.service_account or None)
    except (GoogleAPICallError, RetryError) as error:
        where = place.api_endpoint or "Vertex AI"
        raise EnvironmentProblem(
            f"{where} does not take job {job_id}: {error}; is it up? try `interlock status`"
        ) from error
    return str(job.resource_name)


def read(place: Place, job: str) -> JobState:
    """The job's state and its tasks, in the order they started."""
    from interlock.vertex.client import service

    found = service(place, "Pipeline").get_pipeline_job(name=job)
    tasks = [_task(detail) for detail in found.job_detail.task_details]
    return JobState(name=job.rpartition("/")[2], state=_short(found.state.name), error=found.error.message, tasks=tasks)


def watch(
    place: Place, job: str, *, sleep: Callable[[float], None] = time.sleep, every: float = 0.3
) -> Iterator[JobState]:
    """The job's state whenever it changed, until it is done."""
    last: JobState | None = None
    while True:
        state = read(place, job)
        if state != last:
            yield state
            last = state
        if state.state in {"succeeded", "failed", "cancelled"}:
            return
        sleep(every)


def _task(detail: Any) -> TaskState:
    seconds = None
    if detail.start_time and detail.end_time:
        seconds = (detail.end_time - detail.start_time).total_seconds()
    return TaskState(
        name=detail.task_name, state=_short(detail.state.name), error=detail.error.message, seconds=seconds
    )


def _short(name: str) -> str:
    return name.removeprefix("PIPELINE_STATE_").lower()
