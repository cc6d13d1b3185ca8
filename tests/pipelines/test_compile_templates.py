"""The checked-in templates are what the source compiles to, for Vertex AI and for Kubernetes."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml
from kfp import components

from interlock.commands.templates import compile_all, differences
from interlock.errors import ConfigError
from interlock.local.kubernetes import add_settings, read_settings
from interlock.submission import PIPELINES

ROOT = Path(__file__).parents[2]
ACCEPTED = ROOT / "deploy" / "templates"
SETTINGS = ACCEPTED / "kubernetes.yaml"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("templates")
    compile_all(folder, images=None, kubernetes=SETTINGS)
    return folder


def interlock(*arguments, **variables):
    command = [Path(sys.executable).with_name("interlock"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, env={**os.environ, **variables}
    )


def test_accepted_templates_are_what_the_source_says(compiled):
    changed = {str(name): "\n".join(diff[:40]) for name, diff in differences(compiled, ACCEPTED)}
    assert not changed, "\n".join([*changed.values(), f"{list(changed)} changed: accept with `make golden`"])


def test_a_silent_change_is_shown_with_the_way_to_accept_it(tmp_path):
    accepted = tmp_path / "accepted"
    for path in ACCEPTED.glob("*/*.yaml"):
        (accepted / path.parent.name).mkdir(parents=True, exist_ok=True)
        (accepted / path.parent.name / path.name).write_text(path.read_text())
    template = accepted / "vertex" / "monitoring.yaml"
    template.write_text(template.read_text().replace("hours: float", "hours: int"))
    (accepted / "vertex" / "gone.yaml").write_text("a: 1\n")
    done = interlock("compile", "--output", tmp_path / "new", "--kubernetes", SETTINGS, "--check", accepted)
    assert done.returncode == 1
    assert "-#    hours: int [Default: 24.0]\n+#    hours: float [Default: 24.0]" in done.stdout
    assert "--- accepted/vertex/gone.yaml" in done.stdout
    assert "accept it with `make golden`" in done.stderr


def test_compiling_is_deterministic(compiled, tmp_path):
    done = interlock("compile", "--output", tmp_path, "--kubernetes", SETTINGS, "--check", compiled, PYTHONHASHSEED="3")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", PIPELINES)
def test_variants_differ_in_resources_and_kubernetes_settings_only(compiled, name):
    (vertex,) = yaml.safe_load_all((compiled / "vertex" / f"{name}.yaml").read_text())
    pipeline, platform = yaml.safe_load_all((compiled / "kubernetes" / f"{name}.yaml").read_text())
    executors = pipeline["deploymentSpec"]["executors"]
    for executor in executors.values():
        resources = executor["container"].pop("resources")
        assert resources["resourceMemoryLimit"] == "4Gi"
    for executor in vertex["deploymentSpec"]["executors"].values():
        executor["container"].pop("resources", None)
    assert pipeline == vertex

    steps = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert list(steps) == sorted(executors)
    for step in steps.values():
        assert step["imagePullPolicy"] == "IfNotPresent"
        (secret,) = step["secretAsEnv"]
        assert {(each["secretKey"], each["envVar"]) for each in secret["keyToEnv"]} == {
            ("token", "INTERLOCK_TOKEN"),
            ("password", "PGPASSWORD"),
        }


@pytest.mark.parametrize("name", PIPELINES)
def test_kfp_reads_the_kubernetes_template_back(compiled, name):
    path = compiled / "kubernetes" / f"{name}.yaml"
    loaded = components.load_component_from_file(str(path))
    _, platform = yaml.safe_load_all(path.read_text())
    executors = loaded.platform_spec.platforms["kubernetes"].deployment_spec.executors
    assert sorted(executors) == sorted(platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"])


def test_what_depends_on_the_world_is_never_taken_from_a_cache(compiled):
    cached = set()
    for name in PIPELINES:
        spec = yaml.safe_load((compiled / "vertex" / f"{name}.yaml").read_text())
        groups = [spec["root"], *spec["components"].values()]
        for group in groups:
            for task, body in group.get("dag", {}).get("tasks", {}).items():
                if body["cachingOptions" if "cachingOptions" in body else "componentRef"].get("enableCache"):
                    cached.add(task)
    assert cached == {"validate-data", "build-features", "train-model", "judge-candidate"}


def test_settings_of_every_kind_reach_the_template(tmp_path, compiled):
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        SETTINGS.read_text()
        .replace("image_pull_secrets: []", "image_pull_secrets: [registry]")
        .replace("node_selector: {}", "node_selector: {disktype: ssd, zone: a}")
    )
    text = add_settings((compiled / "vertex" / "monitoring.yaml").read_text(), read_settings(settings))
    _, platform = yaml.safe_load_all(text)
    step = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-monitor-deployment"]
    assert step["imagePullSecret"][0]["secretName"] == "registry"
    assert step["nodeSelector"]["labels"] == {"disktype": "ssd", "zone": "a"}


def test_a_step_keeps_what_it_asks_for_itself(compiled):
    """A smaller limit takes the request with it, a larger one does not."""
    spec = yaml.safe_load((compiled / "vertex" / "monitoring.yaml").read_text())
    container = spec["deploymentSpec"]["executors"]["exec-monitor-deployment"]["container"]
    container["resources"] = {
        **{"cpuLimit": 8.0, "resourceCpuLimit": "8"},
        **{"memoryLimit": 0.5, "resourceMemoryLimit": "500M"},
    }
    pipeline, _ = yaml.safe_load_all(add_settings(yaml.safe_dump(spec), read_settings(SETTINGS)))
    found = pipeline["deploymentSpec"]["executors"]["exec-monitor-deployment"]["container"]["resources"]
    assert (found["resourceCpuRequest"], found["resourceCpuLimit"]) == ("250m", "8")
    assert (found["resourceMemoryRequest"], found["resourceMemoryLimit"]) == ("500M", "500M")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("IfNotPresent", "Sometimes"), "image_pull_policy"),
        (("node_selector", "node_selektor"), "node_selektor"),
        (("memory_limit: 4Gi", "memory_limit: 4"), "memory_limit"),
    ],
)
def test_settings_that_are_wrong_are_refused(tmp_path, change, message):
    settings = tmp_path / "settings.yaml"
    settings.write_text(SETTINGS.read_text().replace(*change))
    with pytest.raises(ConfigError, match=message):
        read_settings(settings)


def test_a_quantity_that_is_none_is_refused(tmp_path, compiled):
    settings = tmp_path / "settings.yaml"
    settings.write_text(SETTINGS.read_text().replace("memory_limit: 4Gi", "memory_limit: lots"))
    template = (compiled / "vertex" / "monitoring.yaml").read_text()
    with pytest.raises(ConfigError, match="memory"):
        add_settings(template, read_settings(settings))


def test_a_step_without_resources_is_refused(compiled):
    settings = read_settings(SETTINGS)
    only_ml = msgspec.structs.replace(settings, resources={"interlock-ml": settings.resources["interlock-ml"]})
    template = (compiled / "vertex" / "training.yaml").read_text()
    with pytest.raises(ConfigError, match="validate-data: no resources for image interlock-data"):
        add_settings(template, only_ml)
