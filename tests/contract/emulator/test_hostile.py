"""Bodies and queries that no client sends: always a google.rpc error, never a trace, never a change."""

import json
import socket
import sqlite3
import zlib

import pytest

from interlock.emulator.surface import RPCS

WRITES = [rpc for rpc in RPCS if rpc.served and rpc.method in ("POST", "PATCH", "DELETE") and "Predict" not in rpc.name]
HOSTILE = [
    b"{",
    b"[]",
    b"3",
    b"null",
    b'"text"',
    b"\xff\xfe",
    b"{}",
    b'{"a": ' + b"[" * 100_000,
    b'{"model": [], "displayName": {}, "endpoint": 3, "name": null, "names": {}, "deployedModel": "x"}',
    b'{"model": {"displayName": 3}, "trafficSplit": {"a": "b"}, "updateMask": {}, "versionAliases": "x"}',
    b'{"unknown": true, "model": {"unknown": {}}, "deployedModel": {}, "trafficSplit": {"0": 1e30}}',
    b'{"displayName": [], "pipelineSpec": {"root": []}, "runtimeConfig": {"parameterValues": []}, "cron": 5}',
    b'{"pipelineSpec": {"root": {"inputDefinitions": 3}}, "sourceModel": "x", "timeout": "soon", "names": ["x"]}',
    b'{"modelEvaluation": 3, "modelEvaluationSlices": [3], "deployedModelId": {}}',
]


@pytest.fixture(scope="module")
def names(emulator):
    """A resource of each collection, by the collection's first word."""
    model = emulator.finished(emulator.request("POST", "models:upload", {"model": {"displayName": "hostile"}}))
    endpoint = emulator.finished(emulator.request("POST", "endpoints", {"displayName": "hostile"}))
    return {
        "models": model["response"]["model"].rpartition("/")[2],
        "endpoints": endpoint["response"]["name"].rpartition("/")[2],
    }


def resources(emulator):
    """Everything the emulator holds but operations, which record what was asked."""
    with sqlite3.connect(f"file:{emulator.state}/emulator.db?mode=ro", uri=True) as connection:
        query = "SELECT name, document FROM resources WHERE kind NOT IN ('operation', 'pipelineJob', 'schedule')"
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("rpc", [rpc for rpc in WRITES if rpc.method != "DELETE"], ids=lambda rpc: rpc.name)
def test_hostile_bodies_are_refused_by_every_call(emulator, names, rpc):
    path = rpc.pattern.replace("*", names.get(rpc.pattern.split("/")[0], "404"), 1).replace("*", "404")
    before = resources(emulator)
    for body in HOSTILE:
        status, answer = emulator.request(rpc.method, path, body)
        if status == 200:  # an empty or unknown field is a change of nothing
            continue
        assert status in (400, 404), (body[:60], answer)
        assert answer["error"]["code"] == status
        assert answer["error"]["status"] in ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION")
        assert "Traceback" not in answer["error"]["message"]
    if rpc.name not in ("UpdateModel", "UpdateEndpoint", "UpdateEndpointLongRunning"):  # these take {} as "touch"
        assert resources(emulator) == before


@pytest.mark.parametrize(
    "query",
    [
        *("pageSize=-1", "pageSize=x", "pageToken=%C2%B2", "filter=%22", "filter=" + "(" * 3000, "orderBy=a+b+c"),
        *("pageToken=99999999999999999999", "filter=a%3D%22%5C"),
    ],
)
@pytest.mark.parametrize("collection", ["models", "endpoints", "pipelineJobs", "schedules", "operations"])
def test_hostile_queries_are_refused(emulator, collection, query):
    status, answer = emulator.request("GET", f"{collection}?{query}")
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT"), answer


@pytest.mark.parametrize(
    "path",
    [
        "models/..%2F..",
        "models/" + "x" * 5000,
        "models/%00",
        "models/a@b@c",
        "models//evaluations/",
        "endpoints/a/b/c/d",
    ],
)
def test_hostile_names_are_not_found(emulator, path):
    status, answer = emulator.request("GET", path)
    assert status in (404, 501)
    assert answer["error"]["code"] == status


def test_bytes_that_are_no_http_do_not_end_the_emulator(emulator):
    for rubbish in (b"\x16\x03\x01" * 100, b"GET\r\n\r\n", b"POST /v1 HTTP/1.1\r\ncontent-length: -5\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", emulator.ready["port"]), timeout=5) as stream:
            stream.sendall(rubbish)
            stream.shutdown(socket.SHUT_WR)
            stream.recv(1000)
    assert emulator.request("GET", "models")[0] == 200


def test_a_body_that_is_not_finished_changes_nothing(emulator):
    before = resources(emulator)
    head = (
        b"POST /v1/projects/demo-project/locations/us-central1/endpoints HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n"
    )
    with socket.create_connection(("127.0.0.1", emulator.ready["port"]), timeout=5) as stream:
        stream.sendall(head + b'\r\n{"displayName": "half"')
    assert emulator.request("GET", "endpoints?filter=display_name=half")[1] == {"endpoints": []}
    assert resources(emulator) == before


def send(emulator, body, encoding):
    import urllib.error
    import urllib.request

    url = f"{emulator.url}/v1/projects/demo-project/locations/us-central1/models:upload"
    request = urllib.request.Request(url, data=body, method="POST", headers={"content-encoding": encoding})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def gzip(content):
    packer = zlib.compressobj(wbits=31)
    return packer.compress(content) + packer.flush()


def test_gzip_is_unpacked_and_bombs_are_not(emulator):
    model = json.dumps({"model": {"displayName": "packed"}}).encode()
    status, operation = send(emulator, gzip(model), "gzip")
    assert status == 200, operation
    assert operation["done"]
    assert send(emulator, gzip(b"0" * 200_000_000), "gzip")[0] == 413
    for body, encoding in ((b"plain", "gzip"), (gzip(model)[:-9], "gzip"), (model, "br")):
        status, answer = send(emulator, body, encoding)
        assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"origin": "https://evil.example"}, "requests of web pages are not served"),
        ({"host": "evil.example:8080"}, "does not answer under the name 'evil.example'"),
        ({"host": "evil.example"}, "does not answer under the name 'evil.example'"),
    ],
)
def test_a_web_page_cannot_drive_it(emulator, headers, says):
    status, answer = emulator.request("GET", "models", headers=headers)
    assert status == 403
    assert says in answer["error"]["message"]


def test_it_answers_under_every_name_of_loopback(emulator):
    for host in ("127.0.0.1", "127.0.0.2:80", "localhost", "localhost:1", "[::1]:1"):
        assert emulator.request("GET", "models", headers={"host": host})[0] == 200
