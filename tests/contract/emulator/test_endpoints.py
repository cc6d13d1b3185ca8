"""EndpointService through the SDK."""

import json
import time
from urllib.parse import urlsplit

import pytest
import requests
from google.api_core import exceptions


@pytest.fixture
def endpoint(sdk):
    """A new endpoint; whatever is deployed to it goes at the end."""
    endpoint = sdk.Endpoint.create(display_name="line", labels={"team": "rail"})
    yield endpoint
    endpoint.undeploy_all()
    endpoint.delete()


def deploy(endpoint, model, **arguments):
    return endpoint.deploy(model, machine_type="n1-standard-2", min_replica_count=1, **arguments)


def versions(endpoint, count=30):
    answers = [endpoint.predict(instances=[[1]]) for _ in range(count)]
    return {answer.model_version_id for answer in answers}


def test_create_get_list_update_delete(sdk):
    endpoint = sdk.Endpoint.create(display_name="branch-line", labels={"a": "b"})
    assert sdk.Endpoint(endpoint.resource_name).labels == {"a": "b"}
    assert [found.name for found in sdk.Endpoint.list(filter='display_name="branch-line"')] == [endpoint.name]
    endpoint.update(display_name="main-line", description="busy")
    again = sdk.Endpoint(endpoint.resource_name)
    assert (again.display_name, again.gca_resource.description) == ("main-line", "busy")
    endpoint.delete()
    assert sdk.Endpoint.list(filter='display_name="main-line"') == []
    with pytest.raises(exceptions.NotFound):
        endpoint.predict(instances=[[1]])


def test_endpoint_id_is_taken_once(sdk):
    endpoint = sdk.Endpoint.create(display_name="e", endpoint_id="4711")
    assert endpoint.name == "4711"
    with pytest.raises(exceptions.Conflict, match="4711 already exists"):
        sdk.Endpoint.create(display_name="e", endpoint_id="4711")
    endpoint.delete()


def test_deploy_canary_shift_undeploy(endpoint, upload):
    first = upload()
    second = upload(parent_model=first.resource_name, is_default_version=False)
    deploy(endpoint, first)
    answer = endpoint.predict(instances=[[1], [2]])
    assert len(answer.predictions) == 2
    assert answer.model_version_id == "1"
    assert answer.model_resource_name == first.resource_name
    old = answer.deployed_model_id

    deploy(endpoint, second, traffic_percentage=10)
    new = next(key for key in endpoint.traffic_split if key != old)
    assert endpoint.traffic_split == {old: 90, new: 10}
    assert {(entry.id, entry.model_version_id) for entry in endpoint.list_models()} == {
        (old, "1"),
        (new, "2"),
    }

    endpoint.update(traffic_split={old: 0, new: 100})
    assert versions(endpoint) == {"2"}
    endpoint.undeploy(old)
    assert endpoint.traffic_split == {new: 100}
    assert versions(endpoint) == {"2"}
    with pytest.raises(exceptions.BadRequest, match="undeploy it first"):
        second.versioning_registry.delete_version("2")


def test_deploy_without_split_takes_no_traffic(endpoint, upload, service):
    first = upload()
    second = upload(parent_model=first.resource_name, is_default_version=False)
    deploy(endpoint, first)
    before = dict(endpoint.traffic_split)
    operation = service("Endpoint").deploy_model(
        endpoint=endpoint.resource_name,
        deployed_model={
            "model": f"{second.resource_name}@2",
            "dedicated_resources": {
                "machine_spec": {"machine_type": "n1-standard-2"},
                "min_replica_count": 2,
            },
        },
    )
    deployed = operation.result(timeout=60).deployed_model
    assert deployed.model_version_id == "2"
    endpoint._sync_gca_resource()
    assert endpoint.traffic_split == before
    assert versions(endpoint) == {"1"}


def test_failed_deploy_leaves_the_endpoint_as_it_was(endpoint, upload):
    deploy(endpoint, upload())
    before = endpoint.to_dict()
    broken = upload(serving_container_environment_variables={"TINY_FAIL": "1"})
    with pytest.raises(exceptions.GoogleAPICallError, match="the model is broken"):
        deploy(endpoint, broken, traffic_percentage=50)
    endpoint._sync_gca_resource()
    assert endpoint.to_dict() == before


def test_image_without_environment_is_refused(endpoint, upload):
    foreign = upload(serving_container_image_uri="registry.example/other:v1")
    with pytest.raises(exceptions.GoogleAPICallError, match=r"registry\.example/other:v1"):
        deploy(endpoint, foreign)


def test_update_with_stale_etag_is_aborted_and_without_one_overwrites(endpoint, service):
    client = service("Endpoint")
    stale = client.get_endpoint(name=endpoint.resource_name)
    fresh = client.update_endpoint(
        endpoint={"name": stale.name, "description": "x", "etag": stale.etag},
        update_mask={"paths": ["description"]},
    )
    assert fresh.etag != stale.etag
    with pytest.raises(exceptions.Conflict, match="etag") as caught:
        client.update_endpoint(
            endpoint={"name": stale.name, "description": "y", "etag": stale.etag},
            update_mask={"paths": ["description"]},
        )
    assert isinstance(caught.value, exceptions.Conflict)
    assert client.get_endpoint(name=stale.name).description == "x"
    blind = client.update_endpoint(
        endpoint={"name": stale.name, "description": "z"}, update_mask={"paths": ["description"]}
    )
    assert blind.description == "z"


@pytest.mark.parametrize(
    ("split", "message"),
    [({"here": 90}, "sums to 90"), ({"elsewhere": 100}, "elsewhere"), ({"here": 101}, "101")],
)
def test_impossible_split_is_refused(endpoint, upload, split, message):
    deploy(endpoint, upload())
    here = endpoint.list_models()[0].id
    with pytest.raises(exceptions.BadRequest, match=message):
        endpoint.update(traffic_split={here if key == "here" else key: share for key, share in split.items()})
    endpoint._sync_gca_resource()
    assert endpoint.traffic_split == {here: 100}


def test_undeploy_with_traffic_needs_a_new_split(endpoint, upload, service):
    first = upload()
    deploy(endpoint, first)
    deploy(endpoint, upload(parent_model=first.resource_name), traffic_percentage=40)
    old, new = sorted(endpoint.traffic_split, key=endpoint.traffic_split.get, reverse=True)
    client = service("Endpoint")
    with pytest.raises(exceptions.BadRequest, match="40 percent"):
        client.undeploy_model(endpoint=endpoint.resource_name, deployed_model_id=new)
    client.undeploy_model(endpoint=endpoint.resource_name, deployed_model_id=new, traffic_split={old: 100}).result(
        timeout=60
    )
    endpoint._sync_gca_resource()
    assert endpoint.traffic_split == {old: 100}


def test_delete_with_deployed_model_is_refused(endpoint, upload, service):
    deploy(endpoint, upload())
    with pytest.raises(exceptions.BadRequest, match="undeploy"):
        service("Endpoint").delete_endpoint(name=endpoint.resource_name)


def test_predict_without_traffic_is_refused(endpoint):
    with pytest.raises(exceptions.BadRequest, match="no deployed model"):
        endpoint.predict(instances=[[1]])


class _ToEmulator(requests.adapters.HTTPAdapter):
    """raw_predict has the service's host built in; this sends it to the emulator."""

    def __init__(self, url):
        super().__init__()
        self._url = url

    def send(self, request, **arguments):
        request.url = self._url + urlsplit(request.url).path
        return super().send(request, **arguments)


def test_raw_predict_passes_the_body_and_names_who_answered(endpoint, upload, emulator, place):
    deploy(endpoint, upload())
    session = requests.Session()
    session.mount(f"https://{place.location}-aiplatform.googleapis.com", _ToEmulator(emulator.url))
    endpoint.authorized_session = session
    response = endpoint.raw_predict(body=b'{"instances": [[1]]}', headers={"Content-Type": "application/json"})
    assert json.loads(response.content)["predictions"][0]["version"] == "1"
    assert response.headers["X-Vertex-AI-Deployed-Model-Id"] == endpoint.list_models()[0].id
    answer = endpoint.predict(instances=[[1]], use_raw_predict=True)
    assert answer.model_version_id == "1"


def test_dedicated_endpoint_is_called_over_tls(sdk, upload, emulator, monkeypatch):
    endpoint = sdk.Endpoint.create(display_name="dedicated", dedicated_endpoint_enabled=True)
    try:
        certificate = emulator.state / "tls" / "certificate.pem"
        assert (certificate.with_name("key.pem").stat().st_mode & 0o777) == 0o600
        deploy(endpoint, upload())
        with pytest.raises(requests.exceptions.SSLError):
            endpoint.predict(instances=[[1]], use_dedicated_endpoint=True)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        found = endpoint.predict(instances=[[1]], use_dedicated_endpoint=True)
        assert found.deployed_model_id == endpoint.list_models()[0].id
        body = json.dumps({"instances": [["x" * 1_000_000]]}).encode()
        response = endpoint.raw_predict(body=body, headers={"Content-Type": "application/json"})
        assert json.loads(response.content)["predictions"][0]["version"] == "1"
        assert response.headers["X-Vertex-AI-Deployed-Model-Id"] == found.deployed_model_id
    finally:
        endpoint.delete(force=True)


def test_plain_endpoint_has_no_port_of_its_own(endpoint):
    assert not endpoint.dedicated_endpoint_dns


def test_grpc_fails_at_once(place, emulator):
    """The client speaks TLS there, always; docs/emulator.md says to take REST."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform_v1 as v1

    client = v1.EndpointServiceClient(
        credentials=AnonymousCredentials(), client_options={"api_endpoint": f"localhost:{emulator.ready['port']}"}
    )
    started = time.monotonic()
    with pytest.raises(exceptions.ServiceUnavailable, match="WRONG_VERSION_NUMBER"):
        client.list_endpoints(parent=f"projects/{place.project}/locations/{place.location}")
    assert time.monotonic() - started < 5


def test_v1beta1_operation_carries_v1beta1_types(emulator):
    status, operation = emulator.request("POST", "endpoints", {"displayName": "beta"}, version="v1beta1")
    assert status == 200
    assert operation["response"]["@type"].endswith("aiplatform.v1beta1.Endpoint")
    path = operation["response"]["name"].partition("/us-central1/")[2]
    assert emulator.request("DELETE", path)[0] == 200
