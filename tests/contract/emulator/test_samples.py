"""The samples on the client library's own page, as they stand in its metadata, run against the emulator."""

import importlib.metadata
import json
import re
import textwrap

import joblib
import pytest
import yaml
from kfp import compiler, dsl
from sklearn.dummy import DummyClassifier

ROWS = [[6.7, 3.1, 4.7, 1.5], [4.6, 3.1, 1.5, 0.2]]


@dsl.component(base_image="registry.example/interlock-ml:v1", install_kfp_package=False)
def greet(name: str) -> str:
    return f"hello {name}"


@dsl.pipeline(name="first")
def first(name: str):
    greet(name=name)


def samples(section):
    """The code blocks below a heading."""
    page = importlib.metadata.metadata("google-cloud-aiplatform").get_payload()
    text = re.search(rf"^{section}\n-+\n(.*?)^[A-Z][^\n]*\n[-~]+\n", page, re.MULTILINE | re.DOTALL)[1]
    blocks = re.findall(r"^\.\. code-block:: Python\n((?:\n|[ ]+.*\n)+)", text, re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


@pytest.fixture
def names(sdk, place, tmp_path, monkeypatch):
    """What the samples take for granted."""
    from interlock.vertex.client import bucket

    path = tmp_path / "model.joblib"
    joblib.dump(DummyClassifier(strategy="constant", constant=1).fit(ROWS, [0, 1]), path)
    bucket(place).blob("python/to/my/model/dir/model.joblib").upload_from_filename(str(path))
    compiler.Compiler().compile(first, str(tmp_path / "first.yaml"))
    (tmp_path / "pipeline.json").write_text(json.dumps(yaml.safe_load((tmp_path / "first.yaml").read_text())))
    monkeypatch.chdir(tmp_path)
    return {
        "aiplatform": sdk,
        "PipelineJob": sdk.PipelineJob,
        "parameter_values": {"name": "samples"},
        "pipeline_root": f"gs://{place.bucket}/samples",
        "service_account": "my-sa@my-project.iam.gserviceaccount.com",
    }


def run(sample, names, place, **values):
    """Run a sample with its placeholders filled in."""
    values |= {"my-project": place.project, "gs://python": f"gs://{place.bucket}/python"}
    values |= {"'/projects": "'projects"}  # the client itself refuses the slash
    for name, value in values.items():
        sample = sample.replace(name, value)
    exec(compile(sample, "sample", "exec"), names)


def test_models_endpoints_and_evaluations(names, place, service):
    get, upload, broken = samples("Models")
    with pytest.raises(SyntaxError):
        compile(broken, "sample", "exec")  # a comma is missing; the sample of Endpoints does the same
    image = re.search(r"tf2-cpu[^\"]*", upload)[0]
    run(upload, names, place, **{image: "sklearn-cpu.1-5:latest"})
    model = {"{MODEL_ID}": names["model"].name}
    run(get, names, place, **model)

    listing, first_one, by_name, by_id = samples("Model Evaluation")
    evaluation = {"metrics_schema_uri": "gs://schema", "metrics": {"auc": 0.7}}
    imported = service("Model").import_model_evaluation(
        parent=f"{names['model'].resource_name}@1", model_evaluation=evaluation
    )
    run(listing, names, place, **model)
    assert [each.resource_name for each in names["evaluations"]] == [imported.name]
    run(first_one, names, place, **model)
    assert names["eval_metrics"]["auc"] == 0.7
    identifier = imported.name.rpartition("/")[2]
    run(by_name, names, place, **model, **{"{EVALUATION_ID}": identifier})
    quoted = {"{EVALUATION_ID}": repr(identifier), "{MODEL_ID}": repr(names["model"].name)}
    run(by_id, names, place, **quoted)
    assert names["evaluation"].resource_name == imported.name

    create, deploy, predict, undeploy, delete = samples("Endpoints")
    run(create, names, place)
    run(deploy, names, place, **model)
    run(predict.replace("endpoint.predict", "answer = endpoint.predict"), names, place)
    assert names["answer"].predictions == [1.0, 1.0]
    run(undeploy, names, place)
    run(delete, names, place)


def test_pipelines(names, place):
    run_it, submit_it = samples("Pipelines")
    run(run_it, names, place)
    assert names["pl"].state.name == "PIPELINE_STATE_SUCCEEDED"
    run(submit_it, names, place)
    names["pl"].wait()
    assert names["pl"].gca_resource.service_account == names["service_account"]
