"""Model evaluations and slices, imported by the generated client and read back by the SDK."""

import pytest
from google.api_core import exceptions

SCHEMA = "gs://google-cloud-aiplatform/schema/modelevaluation/classification_metrics_1.0.0.yaml"


@pytest.fixture
def evaluation(upload, service):
    model = upload()
    imported = service("Model").import_model_evaluation(
        parent=f"{model.resource_name}@1",
        model_evaluation={
            "display_name": "holdout",
            "metrics_schema_uri": SCHEMA,
            "metrics": {"auRoc": 0.81},
            "metadata": {"rows": 7},
        },
    )
    return model, imported


def test_import_names_the_model_without_version(evaluation):
    model, imported = evaluation
    assert imported.name.startswith(f"{model.resource_name}/evaluations/")
    assert imported.display_name == "holdout"


def test_sdk_lists_and_gets_evaluations(evaluation, upload):
    model, imported = evaluation
    assert [found.resource_name for found in model.list_model_evaluations()] == [imported.name]
    assert model.get_model_evaluation(imported.name.rpartition("/")[2]).metrics["auRoc"] == 0.81
    second = upload(parent_model=model.resource_name, is_default_version=False)
    assert second.list_model_evaluations() == []


def test_slices_are_imported_listed_and_read(evaluation, service):
    _, imported = evaluation
    client = service("Model")
    given = [
        {
            "slice_": {"dimension": "annotationSpec", "value": value},
            "metrics_schema_uri": SCHEMA,
            "metrics": {"auRoc": score},
        }
        for value, score in (("JFK", 0.8), ("LGA", 0.7))
    ]
    answer = client.batch_import_model_evaluation_slices(parent=imported.name, model_evaluation_slices=given)
    names = list(answer.imported_model_evaluation_slices)
    assert len(names) == 2
    listed = {
        item.slice_.value: item.metrics["auRoc"] for item in client.list_model_evaluation_slices(parent=imported.name)
    }
    assert listed == {"JFK": 0.8, "LGA": 0.7}
    assert client.get_model_evaluation_slice(name=names[0]).slice_.value == "JFK"


def test_name_with_version_does_not_exist(evaluation, service):
    model, imported = evaluation
    versioned = imported.name.replace(model.resource_name, f"{model.resource_name}@1")
    with pytest.raises(exceptions.NotFound):
        service("Model").get_model_evaluation(name=versioned)


def test_evaluations_go_with_the_model(evaluation, service):
    model, imported = evaluation
    model.delete()
    with pytest.raises(exceptions.NotFound):
        service("Model").get_model_evaluation(name=imported.name)
