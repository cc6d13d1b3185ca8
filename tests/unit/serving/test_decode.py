"""Bodies -> columns, and the one sentence for every body that is wrong."""

from __future__ import annotations

import contextlib
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts import InputField, Signature
from interlock.serving.decode import MAX_INSTANCES, Decoder, RequestRefused

SIGNATURE = Signature(
    task="binary",
    inputs=[
        InputField(name="distance", kind="number", required=True),
        InputField(name="wind", kind="number"),
        InputField(name="carrier", kind="category"),
    ],
    threshold=0.5,
    ignored=["key", "distance"],
)
DECODER = Decoder(SIGNATURE)


def test_objects_become_columns() -> None:
    columns = DECODER.decode(
        b'{"instances": [{"distance": 3, "carrier": "UA"}, {"carrier": null, "wind": 1.5, "distance": -0.5}]}'
    )
    assert list(columns) == ["distance", "wind", "carrier"]
    assert columns["distance"].dtype == np.float32
    np.testing.assert_array_equal(columns["distance"], [3, -0.5])
    np.testing.assert_array_equal(columns["wind"], [np.nan, 1.5])
    assert columns["carrier"].tolist() == ["UA", ""]


def test_arrays_are_read_in_signature_order() -> None:
    objects = DECODER.decode(b'{"instances": [{"distance": 1, "wind": null, "carrier": "B6"}]}')
    arrays = DECODER.decode(b'{"instances": [[1, null, "B6"]], "parameters": {"any": [1]}}')
    for name, column in objects.items():
        np.testing.assert_array_equal(arrays[name], column)


def test_one_input_is_enough() -> None:
    decoder = Decoder(
        Signature(task="binary", inputs=[InputField(name="class", kind="category")], threshold=0.5, ignored=[])
    )
    assert decoder.decode(b'{"instances": [{"class": "a"}, {}]}')["class"].tolist() == ["a", ""]


def test_ignored_fields_are_skipped() -> None:
    columns = DECODER.decode(b'{"instances": [{"distance": 1, "key": {"deep": [1, 2]}}]}')
    assert list(columns) == ["distance", "wind", "carrier"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty: send a JSON object with instances"),
        (b" \n", "the body is empty: send a JSON object with instances"),
        (b"{}", "field 'instances' is required, but missing"),
        (b"[]", "the body: expected object, got array"),
        (b'{"instances": {}}', "instances: expected array, got object"),
        (b'{"instances": []}', "instances is empty: send at least one"),
        (b'{"instances": [3]}', "instance 0: expected object, got number"),
        (b'{"instances": [{"distance": 1}, [1]]}', "instance 1: expected object, got array"),
        (b'{"instances": [{"distance": 1}, {}]}', "instance 1, field 'distance' is required, but missing"),
        (b'{"instances": [{"distance": null}]}', "instance 0, field 'distance': expected number, got null"),
        (
            b'{"instances": [{"distance": true}]}',
            "instance 0, field 'distance': expected number, got boolean",
        ),
        (b'{"instances": [{"distance": "1"}]}', "instance 0, field 'distance': expected number, got text"),
        (
            b'{"instances": [{"distance": 1, "wind": [1]}]}',
            "instance 0, field 'wind': expected number or null, got array",
        ),
        (
            b'{"instances": [{"distance": 1, "carrier": 7}]}',
            "instance 0, field 'carrier': expected text or null, got number",
        ),
        (
            b'{"instances": [{"distance": 1e39}]}',
            "instance 0, field 'distance' is outside the range of float32",
        ),
        (
            b'{"instances": [{"distance": 1e999}]}',
            "instance 0, field 'distance' is outside the range of float32",
        ),
        (
            b'{"instances": [{"distance": 1, "dest": 1}]}',
            "instance 0, field 'dest' is not in the model's signature",
        ),
        (b'{"instances": [[1, 2]]}', "instance 0: expected array of length 3"),
        (b'{"instances": [[1, 2, 3]]}', "instance 0, field 'carrier': expected text or null, got number"),
        (
            b'{"instances": [{"distance": 1}, {"distance": 2, "wind": NaN}]}',
            "instance 1, field 'wind': NaN is not JSON; send null for a missing number",
        ),
        (
            b'{"instances": [{"carrier": "}],:\\"", "distance": -Infinity}]}',
            "instance 0, field 'distance': Infinity is not JSON; send null for a missing number",
        ),
        (b'{"instances": [[1, NaN, "a"]]}', "instance 0: NaN is not JSON; send null for a missing number"),
        (b'{"instances": [{"distance": 1}, {"dist', "instance 1: malformed JSON at byte 38"),
        (b'{"instances": [{"distance": 1}]} x', "the body: malformed JSON at byte 34"),
        (b'{"instances": [{"distance": 1, "carrier": "\xff"}]}', "the body is not UTF-8 text"),
        (b'{"instances": [{"distance": 1, "key": ' + b"[" * 20_000, "the body is nested too deeply"),
        (
            b'{"instances": ' + b"[" * 20_000,
            "instance 0, field 'distance': expected number, got array",
        ),
    ],
)
def test_refusals_say_what_and_where(body: bytes, message: str) -> None:
    with pytest.raises(RequestRefused) as refusal:
        DECODER.decode(body)
    assert (refusal.value.code, str(refusal.value)) == (400, message)


@pytest.mark.parametrize("instance", [b"[1,2,null]", b'{"distance": 1}'])
def test_too_many_instances(instance: bytes) -> None:
    body = b'{"instances": [' + b",".join([instance] * (MAX_INSTANCES + 1)) + b"]}"
    with pytest.raises(RequestRefused, match="more than 10000 instances") as refusal:
        DECODER.decode(body)
    assert refusal.value.code == 413


@pytest.mark.parametrize("tiny", [b"{},", b"[],"])
def test_millions_of_tiny_instances_are_refused_without_making_them(tiny: bytes) -> None:
    decoder = Decoder(Signature(task="binary", inputs=[InputField(name="a", kind="number")], threshold=0.5))
    body = b'{"instances": [' + tiny * 3_000_000 + b"null]}"
    tracemalloc.start()
    try:
        with pytest.raises(RequestRefused):
            decoder.rows(body)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_braces_that_are_no_instances_do_not_count() -> None:
    many = b"[" + b"{}," * 20_000 + b"{}]"
    body = b'{"instances": [{"distance": 1, "key": ' + many + b'}], "parameters": ' + many + b"}"
    assert DECODER.rows(body) == [(1.0, None, None)]
    assert DECODER.rows(b'{"instances": [[1, null, "{[{["]], "parameters": ' + many + b"}") == [(1.0, None, "{[{[")]


def test_as_many_instances_as_allowed() -> None:
    body = b'{"instances": [' + b",".join([b'{"distance": 1}'] * MAX_INSTANCES) + b"]}"
    assert DECODER.decode(body)["distance"].shape == (MAX_INSTANCES,)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["instances", "wind", "x"]), inner),
    max_leaves=10,
)


@given(st.binary() | JSON_VALUES.map(lambda value: json.dumps({"instances": [value]}).encode()))
def test_any_body_is_decoded_or_refused(body: bytes) -> None:
    with contextlib.suppress(RequestRefused):
        columns = DECODER.decode(body)
        assert len({column.shape for column in columns.values()}) == 1
