"""What there is in a place, for people to look at: models, pipeline jobs, schedules, files of a version.

Reading only. https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.pipelineJobs
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import msgspec

from interlock.contracts import Place
from interlock.errors import InputError, RegistryError
from interlock.vertex.client import bucket, parent, service

MOST_JOBS = 100  # a project has thousands, and each comes with its whole pipeline


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A model in the registry: its id, and the name people gave it."""

    id: str
    title: str


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """An output of a task. ``metadata`` as the component wrote it."""

    name: str
    uri: str
    metadata: dict[str, Any] = {}


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one task. ``state`` in lower case; times in seconds since 1970, 0 = not yet.

    ``outputs``: its output parameters. ``log``: where the emulator wrote its log, '' on Google Cloud. ``worker``:
    number of the custom job that ran it there, by which Cloud Logging knows its log; '' on the emulator.
    """

    name: str
    state: str
    began: float = 0.0
    ended: float = 0.0
    error: str = ""
    log: str = ""
    worker: str = ""
    outputs: dict[str, Any] = {}
    artifacts: list[Artifact] = []


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline job. ``spec`` is the compiled pipeline, ``tasks`` are those that began, in that order."""

    id: str
    pipeline: str
    state: str
    created: float
    began: float = 0.0
    ended: float = 0.0
    error: str = ""
    schedule: str = ""
    parameters: dict[str, Any] = {}
    spec: dict[str, Any] = {}
    tasks: list[Task] = []

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in {"succeeded", "failed", "cancelled"}


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that starts pipeline jobs; times in seconds since 1970, 0 = none."""

    id: str
    title: str
    state: str
    cron: str
    pipeline: str
    next_run: float = 0.0
    last_run: float = 0.0
    started_runs: int = 0
    maximum_runs: int = 0


def models(place: Place) -> list[ModelEntry]:
    """All models in the registry, by id."""
    found = [
        ModelEntry(id=model.name.partition("@")[0].rpartition("/")[2], title=model.display_name)
        for model in service(place, "Model").list_models(_of(place))
    ]
    return sorted(found, key=lambda model: model.id)


def jobs(place: Place) -> list[Job]:
    """The newest pipeline jobs, newest first; ``MOST_JOBS`` at most."""
    request = {**_of(place), "order_by": "create_time desc", "page_size": MOST_JOBS}
    found = service(place, "Pipeline").list_pipeline_jobs(request)
    return sorted(map(_job, islice(found, MOST_JOBS)), key=lambda job: job.created, reverse=True)


def find_job(place: Place, id_: str) -> Job | None:
    """The job ``id_``, None if there is none."""
    from google.api_core.exceptions import InvalidArgument, NotFound

    try:
        return _job(service(place, "Pipeline").get_pipeline_job(name=f"{parent(place)}/pipelineJobs/{id_}"))
    except (NotFound, InvalidArgument):
        return None


def schedules(place: Place) -> list[Schedule]:
    """All schedules, newest first."""
    found = service(place, "Schedule").list_schedules(_of(place))
    return [_schedule(one) for one in sorted(found, key=lambda one: _seconds(one.create_time), reverse=True)]


def read_files(place: Place, uri: str, names: Sequence[str]) -> dict[str, bytes]:
    """The files ``names`` under ``uri``; :class:`RegistryError` if one is not there."""
    from google.api_core.exceptions import GoogleAPICallError

    root = f"gs://{place.bucket}/"
    if not uri.startswith(root):
        where = f"is not in bucket {place.bucket}" if place.bucket else "is in a bucket, and no --bucket was given"
        raise RegistryError(f"artifact {uri or 'none'} {where}: its files cannot be shown")
    prefix = uri.removeprefix(root).rstrip("/")
    try:
        return {name: bucket(place).blob(f"{prefix}/{name}").download_as_bytes(timeout=60) for name in names}
    except (GoogleAPICallError, OSError) as error:
        raise RegistryError(f"files of {uri} cannot be read: {error}") from error


def read_object(place: Place, uri: str, most: int) -> bytes:
    """The first ``most`` bytes of an object in the place's bucket; :class:`InputError` if it cannot be read."""
    from google.api_core.exceptions import GoogleAPICallError

    root = f"gs://{place.bucket}/"
    if not place.bucket or not uri.startswith(root):
        raise InputError(f"{uri} is not in bucket {place.bucket or '(none given)'}: it cannot be shown")
    try:
        found: bytes = bucket(place).blob(uri.removeprefix(root)).download_as_bytes(end=most - 1, timeout=60)
    except (GoogleAPICallError, OSError) as error:
        raise InputError(f"{uri} cannot be read: {error}") from error
    return found


def _of(place: Place) -> dict[str, str]:
    return {"parent": parent(place)}


def _job(found: Any) -> Job:
    spec = _plain(found, "pipeline_spec")
    return Job(
        id=found.name.rpartition("/")[2],
        pipeline=str(spec.get("pipelineInfo", {}).get("name", "")),
        state=_word(found.state.name),
        created=_seconds(found.create_time),
        began=_seconds(found.start_time),
        ended=_seconds(found.end_time),
        error=found.error.message,
        schedule=found.schedule_name.rpartition("/")[2],
        parameters=_plain(found.runtime_config, "parameter_values"),
        spec=spec,
        tasks=[_task(detail) for detail in found.job_detail.task_details],
    )


def _task(detail: Any) -> Task:
    metadata = _plain(detail.execution, "metadata")
    prefix = "output:"
    return Task(
        name=detail.task_name,
        state=_word(detail.state.name),
        began=_seconds(detail.start_time),
        ended=_seconds(detail.end_time),
        error=detail.error.message,
        log=str(metadata.get("log", "")),
        worker=detail.executor_detail.container_detail.main_job.rpartition("/")[2],
        outputs={name.removeprefix(prefix): value for name, value in metadata.items() if name.startswith(prefix)},
        artifacts=[
            Artifact(name=name, uri=artifact.uri, metadata=_plain(artifact, "metadata"))
            for name, outputs in sorted(detail.outputs.items())
            for artifact in outputs.artifacts
        ],
    )


def _schedule(found: Any) -> Schedule:
    spec = _plain(found.create_pipeline_job_request.pipeline_job, "pipeline_spec")
    return Schedule(
        id=found.name.rpartition("/")[2],
        title=found.display_name,
        state=found.state.name.lower(),
        cron=found.cron,
        pipeline=str(spec.get("pipelineInfo", {}).get("name", "")),
        next_run=_seconds(found.next_run_time),
        last_run=_seconds(found.last_scheduled_run_response.scheduled_run_time),
        started_runs=int(found.started_run_count),
        maximum_runs=int(found.max_run_count),
    )


def _plain(message: Any, field: str) -> dict[str, Any]:
    """A Struct field, or a map of Values, as plain Python."""
    from google.protobuf import json_format

    raw = type(message).pb(message)
    if field not in {one.name for one, _ in raw.ListFields()}:
        return {}
    text = json_format.MessageToDict(raw, preserving_proto_field_name=False)
    found: dict[str, Any] = text[_camel(field)]
    return found


def _camel(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _seconds(time: Any) -> float:
    return float(time.timestamp()) if time else 0.0


def _word(name: str) -> str:
    return name.removeprefix("PIPELINE_STATE_").lower().replace("_", " ")
