"""What a user of the SDK calls next: copies, replicas, batches, files, operations, schedules."""

import datetime
import uuid

import pytest
from google.api_core import exceptions
from kfp import compiler, dsl

IMAGE = "registry.example/interlock-ml:v1"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def hello(name: str) -> str:
    return f"hello {name}"


@dsl.pipeline(name="greeting")
def greeting(name: str = "world"):
    hello(name=name)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def fail() -> str:
    raise ValueError("no")


@dsl.pipeline(name="failing")
def failing():
    fail()
    hello(name="free")


@pytest.fixture
def job(sdk, tmp_path, place):
    def make(pipeline=greeting, **arguments):
        template = str(tmp_path / "pipeline.yaml")
        compiler.Compiler().compile(pipeline, template)
        return sdk.PipelineJob(
            display_name=pipeline.name,
            template_path=template,
            job_id=f"{pipeline.name}-{uuid.uuid4().hex[:8]}",
            pipeline_root=f"gs://{place.bucket}/root",
            **arguments,
        )

    return make


@pytest.fixture
def endpoint(sdk):
    endpoint = sdk.Endpoint.create(display_name="calls")
    yield endpoint
    endpoint.delete(force=True)


def test_copy_is_a_new_model_or_a_new_version(sdk, upload, place):
    source = upload(labels={"a": "b"}, version_description="first")
    copy = source.copy(destination_location=place.location, destination_model_id=f"copy-{uuid.uuid4().hex[:6]}")
    assert copy.resource_name != source.resource_name
    assert (copy.version_id, copy.uri, copy.display_name) == ("1", source.uri, source.display_name)
    again = source.copy(destination_location=place.location, destination_parent_model=copy.resource_name)
    assert (again.resource_name, again.version_id) == (copy.resource_name, "2")
    assert "default" in sdk.Model(f"{copy.resource_name}@1").version_aliases


def test_replicas_are_changed_in_place(endpoint, upload, service, emulator):
    endpoint.deploy(upload(), machine_type="n1-standard-2")
    deployed = endpoint.list_models()[0]

    def servers():
        found = emulator.health()["servers"]
        return [server for server in found if server["deployedModelId"] == deployed.id]

    for count in (3, 1):
        resources = {"machine_spec": {"machine_type": "n1-standard-2"}, "min_replica_count": count}
        service("Endpoint").mutate_deployed_model(
            endpoint=endpoint.resource_name,
            deployed_model={"id": deployed.id, "dedicated_resources": resources},
            update_mask={"paths": ["dedicated_resources.min_replica_count"]},
        ).result(timeout=60)
        assert len(servers()) == count
        assert all(server["ready"] and server["memoryMb"] > 5 for server in servers())
        endpoint._sync_gca_resource()
        assert endpoint.list_models()[0].dedicated_resources.min_replica_count == count
        assert endpoint.predict(instances=[[1]]).predictions
    with pytest.raises(exceptions.BadRequest, match="cannot be changed"):
        service("Endpoint").mutate_deployed_model(
            endpoint=endpoint.resource_name,
            deployed_model={"id": deployed.id, "model": "x"},
            update_mask={"paths": ["model"]},
        )


def test_undeploy_all_and_endpoint_list(endpoint, upload, sdk):
    first = upload()
    for share in (100, 50):
        endpoint.deploy(first, machine_type="n1-standard-2", traffic_percentage=share)
    ours = sdk.Endpoint.list(filter='display_name="calls" OR labels.x=y', order_by="create_time desc")
    assert ours[0].resource_name == endpoint.resource_name
    endpoint.undeploy_all()
    assert endpoint.list_models() == []
    assert endpoint.traffic_split == {}


def test_cancelled_deploy_changes_nothing_and_operations_can_be_deleted(
    endpoint, upload, service, emulator, wait_until
):
    slow = upload(serving_container_environment_variables={"TINY_START": "30"})
    client = service("Endpoint")
    running = client.deploy_model(
        endpoint=endpoint.resource_name,
        deployed_model={
            "model": slow.resource_name,
            "dedicated_resources": {"machine_spec": {"machine_type": "n1-standard-2"}, "min_replica_count": 1},
        },
        traffic_split={"0": 100},
    )
    path = running.operation.name.partition("/us-central1/")[2]
    status, refused = emulator.request("DELETE", path)
    assert (status, refused["error"]["status"]) == (400, "FAILED_PRECONDITION")
    wait_until(lambda: any(not server["ready"] for server in emulator.health()["servers"]))
    # The client's own cancel() fails on its side over REST: its rule for the call has no body.
    assert emulator.request("POST", f"{path}:cancel") == (200, {})
    with pytest.raises(exceptions.GoogleAPICallError, match="cancelled"):
        running.result(timeout=30)
    endpoint._sync_gca_resource()
    assert endpoint.list_models() == []
    wait_until(lambda: all(server["ready"] for server in emulator.health()["servers"]))
    assert emulator.request("DELETE", path) == (200, {})
    assert emulator.request("GET", path)[0] == 404


def test_model_from_a_local_folder(sdk, tmp_path, place):
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"onnx")
    model = sdk.Model.upload(display_name="folder", artifact_uri=str(folder), serving_container_image_uri=IMAGE)
    assert model.uri.startswith(f"gs://{place.bucket}/")


def test_scikit_learn_file_is_served_by_its_prebuilt_image(sdk, endpoint, tmp_path):
    import joblib
    from sklearn.linear_model import LinearRegression

    path = tmp_path / "line.joblib"
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0]), path)
    model = sdk.Model.upload_scikit_learn_model_file(model_file_path=str(path), display_name="line")
    endpoint.deploy(model, machine_type="n1-standard-2")
    assert endpoint.predict(instances=[[2.0], [3.0]]).predictions == pytest.approx([5.0, 7.0])
    with pytest.raises(exceptions.BadRequest, match="refuses the instances"):
        endpoint.predict(instances=[["a", "b"]])


def test_xgboost_file_says_what_is_missing(sdk, endpoint, tmp_path):
    path = tmp_path / "trees.bst"
    path.write_bytes(b"not a model")
    model = sdk.Model.upload_xgboost_model_file(model_file_path=str(path), display_name="trees")
    with pytest.raises(exceptions.GoogleAPICallError, match="xgboost"):
        endpoint.deploy(model, machine_type="n1-standard-2")


def test_pickle_needs_its_flag(new_emulator):
    emulator = new_emulator()
    image = "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest"
    model = {"displayName": "p", "containerSpec": {"imageUri": image}}
    uploaded = emulator.finished(emulator.request("POST", "models:upload", {"model": model}))
    created = emulator.finished(emulator.request("POST", "endpoints", {"displayName": "p"}))
    identifier = created["response"]["name"].rpartition("/")[2]
    deployed = emulator.deploy(identifier, uploaded["response"]["model"], {"0": 100})
    assert deployed["error"]["code"] == 9
    assert "--allow-pickle" in deployed["error"]["message"]


def test_job_defaults_and_simple_view(job, sdk):
    made = job(labels={"kind": "simple"})
    made.submit()
    made.wait()
    full = sdk.PipelineJob.get(made.resource_name)
    assert full.gca_resource.service_account
    assert full.gca_resource.create_time <= full.gca_resource.start_time <= full.gca_resource.end_time
    name = made.resource_name.rpartition("/")[2]
    simple = sdk.PipelineJob.list(filter="labels.kind=simple", order_by="create_time desc", enable_simple_view=True)[0]
    assert simple.resource_name.endswith(name)
    assert simple.gca_resource.state.name == "PIPELINE_STATE_SUCCEEDED"
    assert not simple.gca_resource.runtime_config.gcs_output_directory
    assert dict(simple.gca_resource.pipeline_spec["pipelineInfo"]) == {"name": "greeting"}
    assert "components" not in simple.gca_resource.pipeline_spec


def test_failure_policy_and_cache(job):
    made = job(failing, failure_policy="fast")
    made.submit()
    with pytest.raises(RuntimeError):
        made.wait()
    states = {detail.task_name: detail.state.name for detail in made.task_details}
    assert states["fail"] == "FAILED"
    assert states.get("hello") != "SUCCEEDED" or made.task_details[0].task_name == "hello"
    name = uuid.uuid4().hex
    for expected in ("SUCCEEDED", "SKIPPED"):
        cached = job(parameter_values={"name": name}, enable_caching=True)
        cached.submit()
        cached.wait()
        assert [detail.state.name for detail in cached.task_details] == [expected]


def test_batches_of_jobs(job, service, place, sdk):
    jobs = [job(), job()]
    for each in jobs:
        each.submit()
        each.wait()
    client = service("Pipeline")
    parent = f"projects/{place.project}/locations/{place.location}"
    names = [each.resource_name for each in jobs]
    with pytest.raises(exceptions.NotFound):
        client.batch_delete_pipeline_jobs(parent=parent, names=[*names, f"{parent}/pipelineJobs/none"])
    assert sdk.PipelineJob.get(names[0])
    client.batch_cancel_pipeline_jobs(parent=parent, names=names).result(timeout=30)
    deleted = client.batch_delete_pipeline_jobs(parent=parent, names=names).result(timeout=30)
    assert [each.name for each in deleted.pipeline_jobs] == names
    with pytest.raises(exceptions.NotFound):
        sdk.PipelineJob.get(names[0])


def test_schedule_through_the_sdk(job, sdk):
    schedule = job().create_schedule(cron="TZ=Europe/Berlin 0 3 * * *", display_name="nightly", max_run_count=5)
    assert schedule.state.name == "ACTIVE"
    assert schedule._gca_resource.next_run_time > datetime.datetime.now(datetime.UTC)
    schedule.pause()
    assert schedule.state.name == "PAUSED"
    schedule.resume(catch_up=False)
    schedule.update(cron="0 4 * * *", max_run_count=6)
    again = sdk.PipelineJobSchedule.get(schedule.resource_name)
    assert (again.cron, again.max_run_count, again.max_concurrent_run_count) == ("0 4 * * *", 6, 1)
    assert schedule.resource_name in {found.resource_name for found in sdk.PipelineJobSchedule.list()}
    assert schedule.list_jobs() == []
    schedule.delete()
    with pytest.raises(exceptions.NotFound):
        sdk.PipelineJobSchedule.get(schedule.resource_name)


def test_wrong_schedule_is_refused(job):
    with pytest.raises(exceptions.BadRequest, match="cron"):
        job().create_schedule(cron="every day", display_name="wrong")
