"""What every call has in common: errors, names, operations."""

import urllib.error
import urllib.request

import pytest


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("POST", "endpoints/1:explain", "PredictionService.Explain"),
        ("POST", "endpoints/1:streamRawPredict", "PredictionService.StreamRawPredict"),
        ("POST", "models/1:export", "ModelService.ExportModel"),
        ("GET", "trainingPipelines", "PipelineService.ListTrainingPipelines"),
        ("GET", "customJobs", "customJobs"),
        ("PUT", "models/1", "PUT"),
    ],
)
def test_unserved_call_is_501_and_named(emulator, method, path, named):
    status, answer = emulator.request(method, path, {} if method == "POST" else None)
    assert (status, answer["error"]["status"]) == (501, "UNIMPLEMENTED")
    assert named in answer["error"]["message"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"3", b"\xff", b'{"model": 3}', b'{"model": {"displayName": 3}}', b"{}"])
def test_malformed_body_is_400_and_changes_nothing(emulator, body):
    before = emulator.request("GET", "models")
    status, answer = emulator.request("POST", "models:upload", body)
    assert (status, answer["error"]["status"], answer["error"]["code"]) == (400, "INVALID_ARGUMENT", 400)
    assert emulator.request("GET", "models") == before


@pytest.mark.parametrize("path", ["models/404", "endpoints/404", "pipelineJobs/no", "operations/404"])
def test_missing_resource_is_404_and_named(emulator, path):
    status, answer = emulator.request("GET", path)
    assert (status, answer["error"]["status"]) == (404, "NOT_FOUND")
    assert path in answer["error"]["message"]


@pytest.mark.parametrize(
    ("project", "location", "expected"),
    [
        ("demo-project", "us-central1", 200),
        ("1234", "us-central1", 200),
        ("other-project", "us-central1", 403),
        ("demo-project", "europe-west1", 404),
    ],
)
def test_project_and_location_are_checked(emulator, project, location, expected):
    url = f"{emulator.url}/v1/projects/{project}/locations/{location}/models"
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            status = response.status
    except urllib.error.HTTPError as error:
        status = error.code
    assert status == expected


def test_operation_is_read_under_every_prefix(emulator):
    operation = emulator.request("POST", "endpoints", {"displayName": "op"})[1]
    path = operation["name"].partition("/us-central1/")[2]
    for version in ("v1", "v1beta1", "ui"):
        assert emulator.request("GET", path, version=version) == (200, operation)
    identifier = operation["response"]["name"].rpartition("/")[2]
    assert emulator.request("GET", f"endpoints/{identifier}/{path}") == (200, operation)
    assert operation in emulator.request("GET", "operations")[1]["operations"]
    assert emulator.request("DELETE", f"endpoints/{identifier}")[0] == 200


def test_mask_of_a_field_that_cannot_change_is_refused(emulator):
    created = emulator.request("POST", "endpoints", {"displayName": "mask"})[1]["response"]
    path = created["name"].partition("/us-central1/")[2]
    status, answer = emulator.request("PATCH", f"{path}?updateMask=createTime", {"createTime": "x"})
    assert status == 400
    assert "createTime" in answer["error"]["message"]
    assert emulator.request("GET", path)[1]["createTime"] == created["createTime"]
    assert emulator.request("DELETE", path)[0] == 200
