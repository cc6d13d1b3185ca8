import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.emulator.filters import parse_filter
from interlock.emulator.listing import order, page, read_masked
from interlock.emulator.masks import masked_update
from interlock.emulator.rpc import RpcError

DOCUMENT = {
    "displayName": 'late "trains"',
    "labels": {"my_team": "rail"},
    "state": "RUNNING",
    "createTime": "2026-02-01T",
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ('display_name="late \\"trains\\""', True),
        ('displayName="late*"', True),
        ('display_name="late"', False),
        ("labels.my_team=rail", True),
        ("labels.my_team:*", True),
        ("labels.other:*", False),
        ("state!=RUNNING", False),
        ("NOT state=PENDING AND labels.my_team=rail", True),
        ('create_time>"2026-01-01"', True),
        ('create_time>"2026-03-01"', False),
        ("no_such_field=x", False),
        ("state=PENDING OR state=RUNNING", True),
        ("state=PENDING OR labels.my_team=bus", False),
        ("state=RUNNING AND labels.my_team=bus OR labels.my_team=rail", True),
        ("labels.my_team=rail OR state=RUNNING AND state=PENDING", False),
        ("(state=RUNNING)", True),
        ("NOT (state=PENDING OR state=RUNNING)", False),
        ("-state=PENDING", True),
        ('(state="PENDING" AND labels.my_team:*) OR (NOT labels.other:*)', True),
    ],
)
def test_filter(text, holds):
    assert parse_filter(text)(DOCUMENT) is holds


@pytest.mark.parametrize(
    "text", ["display_name", "a=1 OR", "(a=1", "a=1)", "a=1 b=2", '"x"=1', "a=1 AND", "(" * 5000, "AND", "()", "NOT"]
)
def test_filter_that_is_not_understood_is_refused_not_ignored(text):
    with pytest.raises(RpcError, match="filter"):
        parse_filter(text)


def test_order_by_two_fields():
    documents = [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}, {"a": "1", "b": "z"}]
    assert order(documents, "a, b desc") == [documents[2], documents[0], documents[1]]


@given(st.integers(0, 30), st.integers(1, 7))
def test_pages_give_everything_once(count, size):
    documents = [{"n": number} for number in range(count)]
    seen, token = [], ""
    while True:
        answer = page(documents, {"pageSize": str(size), "pageToken": token}, "items")
        seen += answer["items"]
        token = answer.get("nextPageToken", "")
        if not token:
            break
    assert seen == documents


def test_masked_update_takes_clears_and_keeps():
    current = {"a": 1, "b": {"c": 1, "d": 2}, "e": 5}
    assert masked_update(current, {"a": 2, "b": {"c": 3}}, "a,b.c,e", ["a", "b", "e"]) == {
        "a": 2,
        "b": {"c": 3, "d": 2},
    }
    assert current == {"a": 1, "b": {"c": 1, "d": 2}, "e": 5}


def test_masked_update_without_mask_takes_what_is_there():
    assert masked_update({"a": 1, "b": 2}, {"a": 3, "z": 4}, "", ["a", "b"]) == {"a": 3, "b": 2}


def test_masked_update_refuses_other_fields():
    with pytest.raises(RpcError, match="allowed: a, b"):
        masked_update({}, {}, "name", ["a", "b"])


def test_read_mask_keeps_the_name_and_what_it_names():
    document = {"name": "n", "state": "RUNNING", "jobDetail": {"taskDetails": [1], "pipelineContext": {"name": "c"}}}
    assert read_masked(document, "state,job_detail.pipeline_context,missing.field") == {
        "name": "n",
        "state": "RUNNING",
        "jobDetail": {"pipelineContext": {"name": "c"}},
    }
    assert read_masked(document, "") == read_masked(document, "*") == document
