"""What the server answers, and what it refuses."""

from __future__ import annotations

import http.client
import socket
from typing import Any

import numpy as np
import pytest

from interlock.errors import InputError
from interlock.serving.model import load_model

NUMBERS = ("distance", "wind")
CATEGORIES = ("carrier", "origin")
HEADERS = {"content-type": "application/json"}


def instances_of(rows: Any) -> list[dict[str, Any]]:
    """Rows as a client sends them: a missing number is null."""
    return rows.astype(object).where(rows.notna(), None).to_dict("records")


def test_ready_line_and_health(live: Any) -> None:
    assert live.ready["ready"] is True
    assert live.ready["load_seconds"] > 0
    assert live.ready["resident_mb"] > 0
    assert live.request("GET", "/health")[0] == 200
    assert live.request("HEAD", "/health")[0] == 200


def test_served_equals_offline_equals_sklearn(live: Any, trained: Any) -> None:
    model = load_model(trained.folder)
    rows = trained.rows
    offline = model.predict({name: rows[name].to_numpy() for name in (*NUMBERS, *CATEGORIES)})
    served = live.probabilities(instances_of(rows))
    assert offline.shape == (300,)
    assert offline.dtype == np.float32
    np.testing.assert_array_equal(np.float32(served), offline)
    np.testing.assert_allclose(served, trained.pipeline.predict_proba(rows)[:, 1], rtol=0, atol=1e-6)


def test_batch_equals_single(live: Any, trained: Any) -> None:
    instances = instances_of(trained.rows.head(40))
    single = [live.probabilities([instance])[0] for instance in instances]
    assert live.probabilities(instances) == single


def test_arrays_equal_objects(live: Any, trained: Any) -> None:
    instances = instances_of(trained.rows.head(10))
    assert live.probabilities([list(row.values()) for row in instances]) == live.probabilities(instances)


def test_unknown_and_missing_values_are_those_of_training(live: Any, trained: Any) -> None:
    rows = trained.rows.head(2).copy()
    rows["carrier"] = ["never seen", ""]
    rows["wind"] = np.float32(np.nan)
    served = live.probabilities(
        [
            {
                "distance": float(rows.distance.iloc[0]),
                "carrier": "never seen",
                "origin": rows.origin.iloc[0],
            },
            {
                "distance": float(rows.distance.iloc[1]),
                "wind": None,
                "origin": rows.origin.iloc[1],
                "flight": 1,
            },
        ]
    )
    np.testing.assert_allclose(served, trained.pipeline.predict_proba(rows)[:, 1], rtol=0, atol=1e-6)


def test_answers_carry_label_version_and_request_id(live: Any, trained: Any) -> None:
    instances = instances_of(trained.rows)
    body = {"instances": instances, "parameters": {"anything": 1}}
    _, headers, answer = live.request("POST", "/predict", body, **{"x-request-id": "given-1"})
    labels = {prediction["label"] for prediction in answer["predictions"]}
    assert labels == {0, 1}
    for prediction in answer["predictions"]:
        assert prediction["label"] == int(prediction["probability"] >= 0.4)
        assert prediction["model_version"] == "7"
    assert headers["x-request-id"] == "given-1"
    assert headers["x-interlock-version"] == "7"
    made = [live.request("GET", "/health", **{"x-request-id": "a b" * 99})[1]["x-request-id"] for _ in range(2)]
    assert made[0] != made[1]


def test_offline_refuses_what_onnx_runtime_would_read_as_text(trained: Any) -> None:
    model = load_model(trained.folder)
    columns = {name: trained.rows[name].to_numpy() for name in (*NUMBERS, *CATEGORIES)}
    with pytest.raises(InputError, match="column 'carrier' holds None"):
        model.predict(columns | {"carrier": np.full(300, None)})
    with pytest.raises(InputError, match="column 'origin' is missing"):
        model.predict({name: column for name, column in columns.items() if name != "origin"})
    with pytest.raises(InputError, match="columns differ in shape"):
        model.predict(columns | {"wind": np.float32([1])})


# --- refusals ------------------------------------------------------------------------------------------

GOOD = b'{"distance": 1}'


@pytest.mark.parametrize(
    ("code", "body", "says"),
    [
        (400, b"", "empty"),
        (400, b"{", "malformed"),
        (400, b'{"instances": []}', "instances is empty"),
        (400, b'{"instances": [{"wind": 1}]}', "instance 0, field 'distance' is required"),
        (400, b'{"instances": [' + GOOD + b', {"distance": "1"}]}', "instance 1, field 'distance'"),
        (400, b'{"instances": [{"distance": 1, "wind": false}]}', "instance 0, field 'wind'"),
        (400, b'{"instances": [{"distance": 1, "origin": 3}]}', "instance 0, field 'origin'"),
        (400, b'{"instances": [{"distance": 1, "dest": 3}]}', "field 'dest' is not in the model's signature"),
        (400, b'{"instances": [{"distance": NaN}]}', "NaN is not JSON"),
        (400, b'{"instances": [{"distance": -Infinity}]}', "Infinity is not JSON"),
        (400, b'{"instances": [{"distance": 1e300}]}', "float32"),
        (400, b'{"instances": [{"distance": 1, "flight": ' + b"[" * 100_000, "nested too deeply"),
        (413, b'{"instances": [' + b",".join([GOOD] * 10_001) + b"]}", "more than 10000 instances"),
        (413, b'{"instances": [' + (GOOD + b",") * 100_000 + GOOD + b"]}", "more than 10000 instances"),
        (413, b" " * 10_000_001, "longer than 10000000 bytes"),
    ],
    ids=lambda value: value[:40].decode() if isinstance(value, bytes) else None,
)
def test_bad_input_is_refused_with_one_sentence(live: Any, code: int, body: bytes, says: str) -> None:
    status, headers, answer = live.request("POST", "/predict", body)
    assert (status, answer["error"]["code"]) == (code, code)
    assert says in answer["error"]["message"]
    assert answer["error"]["status"] == {400: "INVALID_ARGUMENT", 413: "PAYLOAD_TOO_LARGE"}[code]
    assert headers["x-interlock-version"] == "7"


def test_a_body_of_unknown_length_is_limited_too(live: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=20)
    chunks = iter([b" " * 1_000_000] * 11)
    connection.request("POST", "/predict", chunks, HEADERS, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_wrong_method_and_path(live: Any) -> None:
    status, headers, answer = live.request("GET", "/predict")
    assert (status, headers["allow"]) == (405, "POST")
    assert answer["error"]["message"] == "this path takes POST only"
    assert live.request("POST", "/health", {})[0] == 405
    assert live.request("POST", "/predict/", {})[0] == 404


def test_a_client_that_goes_away_harms_nobody(live: Any) -> None:
    with socket.create_connection(("127.0.0.1", live.port)) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    with socket.create_connection(("127.0.0.1", live.port)) as client:
        client.sendall(b"\x00\xff nonsense\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    assert live.probabilities([{"distance": 1}])


def test_metrics_count_it_all_and_no_5xx(live: Any) -> None:
    live.probabilities([{"distance": 1}])
    live.request("POST", "/predict", b"{")
    status, headers, text = live.request("GET", "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = dict(line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#"))
    assert int(lines['interlock_requests_total{route="predict",status="2xx"}']) > 0
    assert int(lines['interlock_requests_total{route="predict",status="4xx"}']) > 0
    assert int(lines["interlock_predict_latency_seconds_count"]) > 1
    assert int(lines["interlock_instances_total"]) > 0
    assert lines["interlock_requests_in_flight"] == "1"  # this very request
    assert not any("5xx" in name for name in lines)
