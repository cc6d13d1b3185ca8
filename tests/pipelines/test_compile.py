"""The pipelines compile as users compile them, with nothing in the environment."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from interlock.components import images

ROOT = Path(__file__).parents[2]


def compiled(name, folder):
    target = folder / f"{name}.yaml"
    kfp = Path(sys.executable).with_name("kfp")
    command = [kfp, "dsl", "compile", "--py", f"pipelines/{name}.py", "--function", name, "--output", target]
    done = subprocess.run(command, cwd=ROOT, env={}, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return yaml.safe_load(target.read_text())


@pytest.mark.parametrize("name", ["training", "deployment", "monitoring"])
def test_compiles_without_an_environment(name, tmp_path):
    spec = compiled(name, tmp_path)
    assert spec["pipelineInfo"]["name"] == f"interlock-{name}"
    used = {executor["container"]["image"] for executor in spec["deploymentSpec"]["executors"].values()}
    assert used <= {images.ML, images.DATA}
    for executor in spec["deploymentSpec"]["executors"].values():
        command = " ".join(executor["container"]["command"])
        assert "pip install" not in command  # everything is in the image


def test_training_keeps_its_stages(tmp_path):
    spec = compiled("training", tmp_path)
    assert set(spec["root"]["dag"]["tasks"]) == {
        "ingest-table",
        "validate-data",
        "build-features",
        "train-model",
        "evaluate-model",
        "judge-candidate",
        "register-model",
    }
    validate = spec["components"]["comp-validate-data"]["executorLabel"]
    assert spec["deploymentSpec"]["executors"][validate]["container"]["image"] == images.DATA


def test_deployment_always_settles(tmp_path):
    spec = compiled("deployment", tmp_path)
    settle = spec["root"]["dag"]["tasks"]["settle-rollout"]
    assert settle["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
