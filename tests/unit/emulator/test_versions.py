import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.emulator.rpc import RpcError
from interlock.emulator.versions import (
    add_version,
    drop_version,
    find_version,
    merge_aliases,
    render,
    split_version,
)

ALIASES = ["default", "staging", "production"]


def model_with(count):
    model = {
        "name": "projects/p/locations/l/models/m",
        "displayName": "m",
        "labels": {"a": "model"},
        "createTime": "2026-01-01T00:00:00Z",
        "updateTime": "2026-01-01T00:00:00Z",
        "_revision": 1,
        "_next": 1,
        "_versions": {},
    }
    for number in range(count):
        model = add_version(model, {"artifactUri": f"gs://b/{number}"}, [])
    return model


@given(st.lists(st.tuples(st.sampled_from(["1", "2", "3"]), st.sampled_from(ALIASES), st.booleans()), max_size=20))
def test_an_alias_is_on_one_version_and_default_is_always_somewhere(changes):
    model = model_with(3)
    for version, alias, add in changes:
        if not add and alias == "default":
            continue
        model = merge_aliases(model, version, [alias if add else f"-{alias}"])
        found = [name for entry in model["_versions"].values() for name in entry["versionAliases"]]
        assert len(found) == len(set(found))
        assert "default" in found


def test_first_version_is_default_and_later_ones_are_not():
    model = model_with(2)
    assert find_version(model, "")["versionId"] == "1"
    assert find_version(model, "2")["versionAliases"] == []


def test_removing_an_alias_another_version_holds_changes_nothing():
    model = merge_aliases(model_with(2), "1", ["staging"])
    assert find_version(merge_aliases(model, "2", ["-staging"]), "staging")["versionId"] == "1"


@pytest.mark.parametrize("alias", ["1", "Upper", "with space", "", "x" * 200])
def test_alias_that_could_be_an_id_is_refused(alias):
    with pytest.raises(RpcError, match="alias"):
        merge_aliases(model_with(1), "1", [alias])


def test_version_numbers_are_not_given_twice():
    model = drop_version(model_with(2), "2")
    assert list(add_version(model, {}, [])["_versions"]) == ["1", "3"]


def test_moved_alias_leaves_the_model_part_of_the_etag():
    model = model_with(2)
    before = render(model, find_version(model, "1"))["etag"]
    moved = merge_aliases(model, "1", ["staging"])
    after = render(moved, find_version(moved, "1"))["etag"]
    assert before != after
    assert before.split("-")[0] == after.split("-")[0]


def test_render_merges_labels_and_hides_what_is_the_emulators_own():
    model = add_version(model_with(1), {"labels": {"b": "version"}, "containerSpec": {"imageUri": "i"}}, ["x"])
    answer = render(model, find_version(model, "2"))
    assert answer["labels"] == {"a": "model", "b": "version"}
    assert answer["supportedDeploymentResourcesTypes"] == ["DEDICATED_RESOURCES"]
    assert not [key for key in answer if key.startswith("_")]


def test_split_version():
    assert split_version("m@2") == ("m", "2")
    assert split_version("m") == split_version("m@-") == ("m", "")
