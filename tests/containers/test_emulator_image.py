"""The emulator image by itself: what it cannot do it says, before anything is stored."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from interlock.vertex.client import parent, service


def test_a_pipeline_job_is_refused_with_the_next_step(topology: Any) -> None:
    place = topology.outside
    client = service(place, "Pipeline")
    job = v1.PipelineJob(display_name="j", pipeline_spec={"pipelineInfo": {"name": "p"}, "root": {}})
    with pytest.raises(exceptions.BadRequest, match=r"kfp is not installed .* Kubeflow Pipelines") as refused:
        client.create_pipeline_job(parent=parent(place), pipeline_job=job)
    assert refused.value.response.json()["error"]["status"] == "FAILED_PRECONDITION"
    assert not list(client.list_pipeline_jobs(parent=parent(place)))
