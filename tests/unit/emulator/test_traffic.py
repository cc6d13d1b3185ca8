import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.emulator.rpc import RpcError
from interlock.emulator.traffic import check_split, split_after_deploy, split_after_undeploy


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(-50, 150)))
def test_check_split_accepts_exactly_what_sums_to_100_over_deployed_ids(split):
    possible = not split or (
        set(split) <= {"a", "b", "c"}
        and sum(split.values()) == 100
        and all(0 <= share <= 100 for share in split.values())
    )
    if possible:
        assert check_split(split, ["a", "b", "c"]) == split
    else:
        with pytest.raises(RpcError) as caught:
            check_split(split, ["a", "b", "c"])
        assert caught.value.status == "INVALID_ARGUMENT"


def test_split_after_deploy_names_the_new_model():
    assert split_after_deploy({"a": 100}, {"a": 90, "0": 10}, "b", ["a"]) == {"a": 90, "b": 10}


def test_split_after_deploy_is_untouched_by_an_empty_request():
    assert split_after_deploy({"a": 100}, {}, "b", ["a"]) == {"a": 100}
    assert split_after_deploy({}, {}, "b", []) == {}


def test_split_after_deploy_says_the_sum():
    with pytest.raises(RpcError, match="sums to 90"):
        split_after_deploy({"a": 100}, {"a": 80, "0": 10}, "b", ["a"])


@pytest.mark.parametrize(
    ("current", "requested", "after"),
    [
        ({"a": 100}, {}, {}),  # the last one takes its traffic along
        ({"a": 0, "b": 100}, {}, {"b": 100}),
        ({"a": 40, "b": 60}, {"b": 100}, {"b": 100}),
        ({"a": 40, "b": 60}, {"a": 0, "b": 100}, {"b": 100}),
    ],
)
def test_split_after_undeploy(current, requested, after):
    assert split_after_undeploy(current, requested, "a", current) == after


def test_split_after_undeploy_drops_no_traffic():
    with pytest.raises(RpcError, match="40 percent") as caught:
        split_after_undeploy({"a": 40, "b": 60}, {}, "a", ["a", "b"])
    assert caught.value.status == "FAILED_PRECONDITION"
    with pytest.raises(RpcError, match="'a'"):
        split_after_undeploy({"a": 40, "b": 60}, {"a": 40, "b": 60}, "a", ["a", "b"])
