"""The machine a config asks for is in the compiled templates: of the training step, and of no other."""

from pathlib import Path

import pytest
import yaml

from interlock.commands.templates import compile_all, compile_templates
from interlock.config import Machine, parse_config
from interlock.errors import ConfigError

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "flights" / "config.yaml"
SETTINGS = ROOT / "deploy" / "templates" / "kubernetes.yaml"
MACHINE = "{cpu: '16', memory: 60G, accelerator: NVIDIA_TESLA_T4, accelerators: 2, spot: true}"


def configured(machine: str) -> str:
    """The example's text with this machine."""
    return EXAMPLE.read_text().replace("  estimator:", f"  machine: {machine}\n  estimator:")


# Which ask for what streaming needs, whatever the machine of training.
DATA_STEPS = {"exec-ingest-table", "exec-validate-data"}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("machine")
    (folder / "config.yaml").write_text(configured(MACHINE))
    compile_templates(output=folder, images=None, kubernetes=SETTINGS, config=folder / "config.yaml", check=None)
    return folder


def resources(path):
    """Resources by executor, and the settings of Kubernetes."""
    spec, *platform = yaml.safe_load_all(path.read_text())
    executors = spec["deploymentSpec"]["executors"]
    return {name: e["container"].get("resources", {}) for name, e in executors.items()}, platform


def test_vertex_gets_cpu_memory_and_accelerator_on_the_training_step_alone(compiled):
    found, platform = resources(compiled / "vertex" / "training.yaml")
    assert platform == []  # Vertex AI takes one document
    asked = found.pop("exec-train-model")
    assert asked["resourceCpuLimit"] == "16"
    assert asked["resourceMemoryLimit"] == "60G"
    assert asked["accelerator"]["resourceType"] == "NVIDIA_TESLA_T4"
    assert asked["accelerator"]["resourceCount"] == "2"
    assert {step for step, asks in found.items() if asks} == DATA_STEPS


def test_kubernetes_also_gets_spot_nodes(compiled):
    found, (platform,) = resources(compiled / "kubernetes" / "training.yaml")
    assert found["exec-train-model"]["resourceCpuLimit"] == "16"
    assert found["exec-train-model"]["resourceCpuRequest"] == "250m"
    assert found["exec-evaluate-model"]["resourceCpuLimit"] == "2"
    steps = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    spot = {name for name, step in steps.items() if "nodeSelector" in step or "tolerations" in step}
    assert spot == {"exec-train-model"}
    assert steps["exec-train-model"]["nodeSelector"] == {"labels": {"cloud.google.com/gke-spot": "true"}}
    (toleration,) = steps["exec-train-model"]["tolerations"]
    assert toleration["key"] == "cloud.google.com/gke-spot"


def test_without_a_machine_nothing_is_asked(tmp_path):
    compile_all(tmp_path / "none", images=None, kubernetes=None, machine=Machine())
    compile_all(tmp_path / "plain", images=None, kubernetes=None)
    for name in ("training", "deployment", "monitoring"):
        one, other = (tmp_path / folder / "vertex" / f"{name}.yaml" for folder in ("none", "plain"))
        assert one.read_bytes() == other.read_bytes()
        assert {step for step, asks in resources(one)[0].items() if asks} <= DATA_STEPS


@pytest.mark.parametrize("machine", ["{cpu: many}", "{memory: 4 GB}", "{accelerator: T4}", "{accelerators: 1}"])
def test_impossible_machines_are_refused(machine):
    with pytest.raises(ConfigError, match=r"training\.machine"):
        parse_config(configured(machine))
