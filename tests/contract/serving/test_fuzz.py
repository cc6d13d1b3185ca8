"""More than 10,000 broken requests: answered or refused with a sentence, never a failure."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.serving.app import App
from interlock.serving.decode import RequestRefused
from interlock.serving.model import Model, load_model
from interlock.serving.rows import columns_of

MANY = settings(max_examples=700, deadline=None, suppress_health_check=list(HealthCheck))
NAMES = st.sampled_from(["distance", "wind", "carrier", "origin", "flight", "other"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
# Without lone surrogates: no JSON text decodes to one.
TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=8
)
INSTANCES = st.lists(st.dictionaries(NAMES, SCALARS, max_size=5) | st.lists(SCALARS, max_size=5) | VALUES, max_size=4)
TENSORS = st.lists(
    st.fixed_dictionaries(
        {
            "name": NAMES,
            "shape": st.lists(st.integers(-1, 3), max_size=2) | VALUES,
            "datatype": st.sampled_from(["FP32", "BYTES", "INT64", "FP64", "BOOL", ""]),
            "data": st.lists(SCALARS | st.lists(SCALARS, max_size=2), max_size=3) | VALUES,
        }
    ),
    max_size=4,
)
BODIES = st.one_of(
    st.binary(max_size=60),
    INSTANCES.map(lambda value: json.dumps({"instances": value}).encode()),
    TENSORS.map(lambda value: json.dumps({"inputs": value}).encode()),
    VALUES.map(lambda value: json.dumps(value).encode()),
)
VALID = (
    b'{"instances": [{"distance": 1.5, "wind": null, "carrier": "UA", "origin": "JFK", "flight": 7}, {"distance": 2}]}',
    b'{"instances": [[1.5, null, "UA", "JFK"], [1e3, -2, "", null]], "parameters": {"a": [1, {"b": "c"}]}}',
    b'{"id": "a", "inputs": [{"name": "distance", "shape": [2, 1], "datatype": "FP32", "data": [[1], [2]]}]}',
)
SPLICES = (
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
    b",",
    b":",
    b"null",
    b"NaN",
    b"1e999",
    b"\\ud800",
    b"\xff",
    b"\x00",
    b"-",
)


@pytest.fixture(scope="module", params=[True, False], ids=["trees", "graph"])
def app(model: Path, request: pytest.FixtureRequest) -> App:
    return App(load_model(model, fast=request.param), version="7", health_route="/health", predict_route="/predict")


@pytest.fixture(scope="module")
def whole(model: Path) -> Model:
    return load_model(model)


def answer_or_refusal(app: App, body: bytes) -> None:
    code, sentence, answer = 200, "", {}
    try:
        answer = json.loads(app.predict(body))
    except RequestRefused as refusal:
        code, sentence = refusal.code, str(refusal)
    assert code in (200, 400, 413)
    assert len(sentence) < 500
    assert bool(sentence) == (code != 200)
    for prediction in answer.get("predictions", []):
        assert 0 <= prediction["probability"] <= 1


@MANY
@given(body=BODIES)
def test_any_body_is_answered_or_refused(app: App, body: bytes) -> None:
    answer_or_refusal(app, body)


def mutated(rng: random.Random, body: bytes) -> bytes:
    """``body`` with a few bytes flipped, cut, doubled or spliced in."""
    broken = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(broken) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            broken[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del broken[at : at + rng.randint(1, 8)]
        elif kind == 2:
            broken[at:at] = rng.choice(SPLICES)
        else:
            broken[at:at] = broken[at : at + rng.randint(1, 20)]
    return bytes(broken)


def test_any_damage_to_a_good_body_is_answered_or_refused(app: App) -> None:
    rng = random.Random(8)
    for _ in range(8000):
        answer_or_refusal(app, mutated(rng, rng.choice(VALID)))


@MANY
@given(
    rows=st.lists(
        st.tuples(
            st.floats(width=32, allow_nan=False, allow_infinity=False),
            st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False),
            st.none() | st.sampled_from(["", "UA", "B6", "é"]) | TEXT,
            st.none() | st.sampled_from(["JFK", "LGA", "jfk"]),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_both_engines_are_equal_and_batch_equals_single(app: App, whole: Model, rows: list[Any]) -> None:
    expected = whole.score(columns_of(whole.signature.inputs, rows)).tolist()

    def served(part: list[Any]) -> list[float]:
        answer = json.loads(app.predict(json.dumps({"instances": part}).encode()))
        return [prediction["probability"] for prediction in answer["predictions"]]

    assert served(rows) == expected
    assert served(rows * 8) == expected * 8  # many rows are computed in another way than few
    assert [served([row])[0] for row in rows] == expected


def test_damaged_bodies_over_http(live: Any) -> None:
    rng = random.Random(9)
    before = live.rss_mb()
    for _ in range(2000):
        path = rng.choice(["/predict", "/v2/models/flights/infer"])
        status, _, answer = live.request("POST", path, mutated(rng, rng.choice(VALID)))
        assert status in (200, 400)
        assert ("predictions" in answer or "outputs" in answer) if status == 200 else answer["error"]["message"]
    live.is_well()
    assert live.rss_mb() - before < 20


def test_damaged_http(live: Any) -> None:
    rng = random.Random(10)
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\nx-request-id: a\r\ncontent-length: %d\r\n\r\n"
    chunked = b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    for _ in range(1500):
        body = rng.choice(VALID)
        sent = rng.choice([head % len(body) + body, chunked % (len(body), body)])
        with socket.create_connection(("127.0.0.1", live.port), timeout=20) as client:
            client.sendall(mutated(rng, sent))
            client.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while part := client.recv(65536):
                    answer += part
            except ConnectionResetError:
                pass
        assert not answer.startswith(b"HTTP/1.1 5"), answer
    live.is_well()
