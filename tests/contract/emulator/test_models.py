"""ModelService through the SDK."""

import pytest
from google.api_core import exceptions


def test_upload_first_version_is_default(upload):
    model = upload(version_aliases=["staging"], version_description="first", labels={"team": "rail"})
    assert model.version_id == "1"
    assert set(model.version_aliases) == {"default", "staging"}
    assert model.version_description == "first"
    assert model.labels == {"team": "rail"}
    assert model.container_spec.predict_route == "/predict"
    assert [kind.name for kind in model.supported_deployment_resources_types] == ["DEDICATED_RESOURCES"]


def test_upload_second_version_moves_alias_and_keeps_default(upload, sdk):
    first = upload(version_aliases=["staging"])
    second = upload(parent_model=first.resource_name, version_aliases=["staging"], is_default_version=False)
    assert second.resource_name == first.resource_name
    assert second.version_id == "2"
    assert second.version_aliases == ["staging"]
    assert sdk.Model(first.resource_name).version_id == "1"
    assert sdk.Model(f"{first.resource_name}@staging").version_id == "2"
    assert sdk.Model(f"{first.resource_name}@2").version_aliases == ["staging"]


def test_upload_default_version_moves_default(upload, sdk):
    first = upload()
    upload(parent_model=first.resource_name, is_default_version=True)
    assert sdk.Model(first.resource_name).version_id == "2"


def test_upload_with_model_id(upload, sdk):
    model = upload(model_id="chosen-id")
    assert model.name == "chosen-id"
    with pytest.raises(exceptions.Conflict, match="chosen-id already exists"):
        upload(model_id="chosen-id")
    model.delete()


def test_upload_local_folder_goes_to_the_bucket(upload, tmp_path, place):
    (tmp_path / "model.onnx").write_bytes(b"weights")
    model = upload(artifact_uri=str(tmp_path))
    assert model.uri.startswith(f"gs://{place.bucket}/")


def test_list_versions_and_version_info(upload):
    first = upload(version_description="one")
    upload(parent_model=first.resource_name, version_description="two", is_default_version=False)
    registry = first.versioning_registry
    assert sorted((info.version_id, info.version_description) for info in registry.list_versions()) == [
        ("1", "one"),
        ("2", "two"),
    ]
    info = registry.get_version_info("2")
    assert info.version_id == "2"
    assert info.version_create_time is not None


def test_aliases_are_added_moved_and_removed(upload):
    first = upload(version_aliases=["production"])
    upload(parent_model=first.resource_name, is_default_version=False)
    registry = first.versioning_registry
    registry.add_version_aliases(["production", "stable"], version="2")
    assert registry.get_version_info("1").version_aliases == ["default"]
    assert registry.get_version_info("2").version_aliases == ["production", "stable"]
    registry.remove_version_aliases(["stable"], version="2")
    assert registry.get_version_info("production").version_aliases == ["production"]


def test_default_alias_cannot_be_removed(upload):
    registry = upload().versioning_registry
    with pytest.raises(exceptions.BadRequest, match="'default' cannot be removed"):
        registry.remove_version_aliases(["default"], version="1")


def test_list_filters_by_display_name_and_label(upload, sdk):
    model = upload(labels={"line": "north_1"})
    for text in (
        f'display_name="{model.display_name}"',
        f'display_name="{model.display_name}" AND labels.line="north_1"',
    ):
        assert [found.resource_name for found in sdk.Model.list(filter=text)] == [model.resource_name]
    assert sdk.Model.list(filter='display_name="no such model"') == []
    assert sdk.Model.list(filter=f'display_name="{model.display_name}" AND labels.line="south"') == []


def test_list_pages_and_orders(upload, service, place):
    names = [upload(display_name=f"paged-{letter}", labels={"set": "paged"}).display_name for letter in "bca"]
    request = {
        "parent": f"projects/{place.project}/locations/{place.location}",
        "filter": "labels.set=paged",
        "page_size": 2,
    }
    pager = service("Model").list_models(request=request)
    pages = [[model.display_name for model in page.models] for page in pager.pages]
    assert pages == [list(reversed(names))[:2], list(reversed(names))[2:]]


def test_filter_that_cannot_be_read_is_refused(sdk):
    with pytest.raises(exceptions.BadRequest, match="column 2"):
        sdk.Model.list(filter="(display_name)")


def test_update_model_and_version(upload):
    model = upload()
    model.update(description="about trains", labels={"a": "b"})
    model.versioning_registry.add_version_aliases(["seen"], version="1")
    model.update(description="about late trains")
    assert (model.description, model.labels) == ("about late trains", {"a": "b"})
    model.versioning_registry.update_version("1", version_description="now described")
    assert model.versioning_registry.get_version_info("1").version_description == "now described"


def test_update_with_stale_etag_is_aborted(upload, service):
    model = upload()
    stale = model.gca_resource
    model.update(description="newer")
    stale.description = "older"
    stale.name = model.resource_name
    with pytest.raises(exceptions.Conflict, match="stale"):
        service("Model").update_model(model=stale, update_mask={"paths": ["description"]})


def test_delete_version_but_not_the_default_one(upload):
    first = upload()
    upload(parent_model=first.resource_name, is_default_version=False)
    registry = first.versioning_registry
    with pytest.raises(exceptions.BadRequest, match="default version"):
        registry.delete_version("1")
    registry.delete_version("2")
    assert [info.version_id for info in registry.list_versions()] == ["1"]
    with pytest.raises(exceptions.BadRequest, match="only version"):
        registry.delete_version("1")
    third = upload(parent_model=first.resource_name, is_default_version=False)
    assert third.version_id == "3"


def test_delete_model(upload, sdk):
    model = upload()
    model.delete()
    with pytest.raises(exceptions.NotFound, match=model.name):
        sdk.Model(model.resource_name)


def test_project_number_stands_for_the_project(upload, sdk, place):
    model = upload()
    numbered = model.resource_name.replace(place.project, "1234")
    assert sdk.Model(numbered).resource_name == model.resource_name
