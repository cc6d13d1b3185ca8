"""PipelineService through the SDK: compiled pipelines run as real processes."""

import contextlib
import signal
import uuid
from pathlib import Path

import pytest
import yaml
from google.api_core import exceptions
from kfp import compiler, dsl

IMAGE = "registry.example/interlock-ml:v1"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def add(a: int, b: int) -> int:
    if b < 0:
        raise ValueError("b is negative")
    return a + b


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def sleep(seconds: float):
    import time

    time.sleep(seconds)


@dsl.pipeline(name="addition")
def addition(a: int, b: int = 1, ratio: float = 1.0):
    first = add(a=a, b=b)
    add(a=first.output, b=2)


@dsl.pipeline(name="waiting")
def waiting(seconds: float = 60.0):
    sleep(seconds=seconds)


@pytest.fixture
def submit(sdk, tmp_path, place):
    def submit_pipeline(pipeline, **parameters):
        template = str(tmp_path / f"{pipeline.name}.yaml")
        compiler.Compiler().compile(pipeline, template)
        job = sdk.PipelineJob(
            display_name=pipeline.name,
            template_path=template,
            job_id=f"{pipeline.name}-{uuid.uuid4().hex[:8]}",
            pipeline_root=f"gs://{place.bucket}/root",
            parameter_values=parameters,
            labels={"kind": "test"},
        )
        job.submit()
        return job

    return submit_pipeline


def processes_about(folder):
    """Process ids that name ``folder`` on their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
    return found


def state_of(job):
    return job.state.name.removeprefix("PIPELINE_STATE_")


def test_job_runs_to_success_with_task_details(submit, sdk, emulator):
    job = submit(addition, a=40, ratio=2.0)
    job.wait()
    assert state_of(job) == "SUCCEEDED"
    details = {detail.task_name: detail for detail in job.task_details}
    assert {name: detail.state.name for name, detail in details.items()} == {
        "add": "SUCCEEDED",
        "add-2": "SUCCEEDED",
    }
    metadata = details["add-2"].execution.metadata
    assert metadata["output:Output"] == 43
    assert metadata["input:a"] + metadata["input:b"] == 43
    assert details["add"].start_time <= details["add"].end_time
    found = sdk.PipelineJob.list(filter='display_name="addition" AND state="PIPELINE_STATE_SUCCEEDED"')
    assert job.resource_name in {entry.resource_name for entry in found}
    assert sdk.PipelineJob.get(job.resource_name).pipeline_spec["pipelineInfo"]["name"] == "addition"
    job.delete()
    with pytest.raises(exceptions.NotFound):
        sdk.PipelineJob.get(job.resource_name)


def test_failed_task_fails_the_job_and_says_why(submit):
    job = submit(addition, a=1, b=-1)
    with pytest.raises(RuntimeError, match="b is negative"):
        job.wait()
    assert state_of(job) == "FAILED"
    failed = next(detail for detail in job.task_details if detail.state.name == "FAILED")
    assert "b is negative" in failed.error.message


def test_two_jobs_run_at_once_and_cancel_ends_one(submit, wait_until):
    first, second = submit(waiting), submit(waiting, seconds=1.0)
    wait_until(lambda: any(detail.state.name == "RUNNING" for detail in first.task_details))
    second.wait()
    assert state_of(second) == "SUCCEEDED"
    assert state_of(first) == "RUNNING"
    with pytest.raises(exceptions.BadRequest, match="cancel it"):
        first.delete()
    first.cancel()
    wait_until(lambda: state_of(first) == "CANCELLED")
    assert {detail.state.name for detail in first.task_details} == {"CANCELLED"}


def test_cancel_right_after_submit_cancels(submit, wait_until):
    job = submit(waiting)
    job.cancel()
    wait_until(lambda: state_of(job) == "CANCELLED")


def test_wrong_parameter_is_refused_at_submit(submit):
    with pytest.raises(exceptions.BadRequest, match="a is missing"):
        submit(addition)


def test_job_id_is_taken_once(submit, emulator):
    job = submit(waiting, seconds=0.0)
    job.wait()
    body = {"pipelineSpec": {"root": {}}}
    status, answer = emulator.request("POST", f"pipelineJobs?pipelineJobId={job.name}", body)
    assert (status, answer["error"]["status"]) == (409, "ALREADY_EXISTS")


def test_job_running_at_a_kill_is_failed_after_the_restart(new_emulator, wait_until, tmp_path):
    emulator = new_emulator()
    compiler.Compiler().compile(waiting, str(tmp_path / "waiting.yaml"))
    spec = yaml.safe_load((tmp_path / "waiting.yaml").read_text())
    body = {"displayName": "w", "pipelineSpec": spec, "runtimeConfig": {"gcsOutputDirectory": "gs://b/r"}}
    status, job = emulator.request("POST", "pipelineJobs?pipelineJobId=waiting-1", body)
    assert status == 200, job
    wait_until(lambda: emulator.request("GET", "pipelineJobs/waiting-1")[1]["jobDetail"]["taskDetails"])
    assert processes_about(emulator.state / "jobs")
    emulator.stop(signal.SIGKILL)
    wait_until(lambda: not processes_about(emulator.state))
    emulator.start()
    after = emulator.request("GET", "pipelineJobs/waiting-1")[1]
    assert after["state"] == "PIPELINE_STATE_FAILED"
    assert "emulator stopped" in after["error"]["message"]
    assert {detail["state"] for detail in after["jobDetail"]["taskDetails"]} == {"CANCELLED"}
