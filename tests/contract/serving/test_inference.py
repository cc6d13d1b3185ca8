"""The Open Inference Protocol, and raw bodies on the predict route."""

from __future__ import annotations

from typing import Any

import pytest

ROWS = [{"distance": 1.5, "carrier": "UA"}, {"distance": -1.0, "wind": 2.0, "origin": "LGA"}]
BODY = {
    "id": "ask-1",
    "inputs": [
        {"name": "carrier", "shape": [2], "datatype": "BYTES", "data": ["UA", None]},
        {"name": "distance", "shape": [2, 1], "datatype": "FP32", "data": [[1.5], [-1]]},
        {"name": "wind", "shape": [2, 1], "datatype": "FP64", "data": [None, 2]},
        {"name": "origin", "shape": [2], "datatype": "BYTES", "data": ["", "LGA"]},
    ],
    "outputs": [{"name": "probability"}],
}


def test_health_and_metadata(live: Any) -> None:
    assert live.request("GET", "/v2/health/live")[2] == {"live": True}
    assert live.request("GET", "/v2/health/ready")[2] == {"ready": True}
    assert live.request("GET", "/v2/models/flights/ready")[2] == {"name": "flights", "ready": True}
    assert live.request("GET", "/v2")[2]["name"] == "interlock"
    model = live.request("GET", "/v2/models/flights/versions/7")[2]
    assert (model["name"], model["versions"]) == ("flights", ["7"])
    assert {"name": "carrier", "datatype": "BYTES", "shape": [-1, 1]} in model["inputs"]
    assert live.request("GET", "/v2/models/other")[0] == 404
    assert live.request("GET", "/v2/models/flights/infer")[0] == 405


@pytest.mark.parametrize("path", ["/v2/models/flights/infer", "/v2/models/flights/versions/7/infer", "/predict"])
def test_tensors_get_the_answers_of_instances(live: Any, path: str) -> None:
    expected = live.request("POST", "/predict", {"instances": ROWS})[2]["predictions"]
    status, headers, answer = live.request("POST", path, BODY, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    assert status == 200, answer
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("flights", "7", "ask-1")
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert outputs["probability"]["data"] == [prediction["probability"] for prediction in expected]
    assert outputs["label"] == {"name": "label", "datatype": "INT64", "shape": [2], "data": [
        prediction["label"] for prediction in expected
    ]}  # fmt: skip
    assert headers["traceparent"] == f"00-{'a' * 32}-{'b' * 16}-01"
    assert headers["x-interlock-version"] == "7"


DISTANCE = {"name": "distance", "shape": [1], "datatype": "FP32", "data": [1]}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "inputs holds none of the model's inputs"),
        ([DISTANCE | {"name": "x"}], "input 'x' is not in the model's signature"),
        ([DISTANCE, DISTANCE], "inputs holds a name twice"),
        ([DISTANCE | {"shape": [1, 2]}], "input 'distance': shape must be [n] or [n, 1] with n >= 1"),
        ([DISTANCE | {"shape": [2]}], "input 'distance' holds 1 values, but its shape says 2"),
        ([DISTANCE | {"datatype": "BYTES"}], "input 'distance': expected FP32, got 'BYTES'"),
        ([DISTANCE | {"data": ["a"]}], "input 'distance': Expected float, got str at data[0]"),
        ([DISTANCE | {"data": [None]}], "input 'distance': Expected float, got null at data[0]"),
        ([DISTANCE | {"name": "wind"}], "input 'distance' is required, but missing"),
        (
            [DISTANCE, {"name": "carrier", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}],
            "input 'carrier' has 2 rows, but 'distance' has 1",
        ),
        (None, "inputs: expected array, got null"),
    ],
)
def test_bad_tensors_are_refused_with_one_sentence(live: Any, inputs: Any, message: str) -> None:
    status, _, answer = live.request("POST", "/v2/models/flights/infer", {"inputs": inputs})
    assert (status, answer["error"]["message"]) == (400, message)


def test_too_many_rows(live: Any) -> None:
    tensor = {"name": "distance", "shape": [10_001], "datatype": "FP32", "data": [1] * 10_001}
    assert live.request("POST", "/v2/models/flights/infer", {"inputs": [tensor]})[0] == 413
