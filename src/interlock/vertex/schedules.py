"""Pipelines on a schedule: Vertex AI's ``PipelineJobSchedule``, on the emulator and on Google Cloud alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interlock.contracts import Place
from interlock.errors import EnvironmentProblem
from interlock.vertex.client import bucket, finished, sdk, service


def upload_template(place: Place, template: Path, name: str) -> str:
    """Put a compiled pipeline into the place's bucket; its ``gs://`` address."""
    path = f"templates/{name}.yaml"
    bucket(place).blob(path).upload_from_filename(str(template), timeout=60)
    return f"gs://{place.bucket}/{path}"


def create_schedule(
    place: Place, template: Path, *, name: str, cron: str, parameters: dict[str, Any], most_at_once: int = 1
) -> str:
    """Run ``template`` by ``cron`` from now on, instead of whatever ran under ``name`` before; the resource name."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError

    client = sdk(place)
    try:
        before = [found.resource_name for found in schedules(place, name)]
        job = client.PipelineJob(
            display_name=name,
            template_path=str(template),
            parameter_values=parameters,
            pipeline_root=f"gs://{place.bucket}/pipeline_root",
            enable_caching=False,
        )
        created = client.PipelineJobSchedule(pipeline_job=job, display_name=name)
        created.create(cron=cron, max_concurrent_run_count=most_at_once, service_account=place.service_account or None)
        for old in before:  # the new one is there first: monitoring never stops
            finished(service(place, "Schedule").delete_schedule(name=old), seconds=60)
    except (GoogleAPICallError, RetryError) as error:
        where = place.api_endpoint or "Vertex AI"
        raise EnvironmentProblem(f"{where} does not take schedule {name}: {error}; cron is {cron!r}") from error
    return str(created.resource_name)


def delete_schedules(place: Place, name: str) -> list[str]:
    """Remove what runs under ``name``; their resource names."""
    found = [each.resource_name for each in schedules(place, name)]
    for resource in found:
        finished(service(place, "Schedule").delete_schedule(name=resource), seconds=60)
    return found


def schedules(place: Place, name: str) -> list[Any]:
    """Schedules with this display name."""
    return [each for each in sdk(place).PipelineJobSchedule.list() if each.display_name == name]
