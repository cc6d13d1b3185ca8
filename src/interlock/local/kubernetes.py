"""The Kubernetes variant of a compiled pipeline: resources, and a second document of kfp-kubernetes settings.

Vertex AI takes a single document, so its template must not have these.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from interlock.errors import ConfigError
from interlock.local.environments import image_name

SPOT = "cloud.google.com/gke-spot"  # label and taint of nodes on capacity that may be taken away
_ANY_STEP = "{name: step, implementation: {container: {image: image, command: ['true']}}}"


class Resources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Kubernetes quantities, such as ``250m`` and ``4Gi``."""

    cpu_request: str
    cpu_limit: str
    memory_request: str
    memory_limit: str


class StepSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every step gets. ``secret_environment``: name of a Secret -> its key -> variable.

    ``resources`` are by image name.
    """

    resources: dict[str, Resources]
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: list[str] = []
    node_selector: dict[str, str] = {}
    secret_environment: dict[str, dict[str, str]] = {}


def read_settings(path: Path) -> StepSettings:
    """The file ``--kubernetes`` names; :class:`ConfigError` says what is wrong in it."""
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=StepSettings)
    except OSError as error:
        raise ConfigError(
            f"Kubernetes settings {path}: {error.strerror}; see deploy/templates/kubernetes.yaml"
        ) from error
    except msgspec.MsgspecError as error:
        raise ConfigError(f"Kubernetes settings {path}: {error}; see deploy/templates/kubernetes.yaml") from error


def add_settings(template: str, settings: StepSettings, *, spot: Sequence[str] = ()) -> str:
    """``template``, one document of KFP YAML, with ``settings`` for every step; two documents.

    What a step already asks for is kept. ``spot``: executors that may run on capacity which can be taken away.
    """
    comment = "".join(line for line in template.splitlines(keepends=True) if line.startswith("#"))
    spec = yaml.safe_load(template)
    made = {
        (name, is_spot): _step(settings, resources, spot=is_spot)
        for name, resources in settings.resources.items()
        for is_spot in {bool(spot), False}
    }
    executors = {}
    for label, executor in spec["deploymentSpec"]["executors"].items():
        container = executor["container"]
        name = image_name(container["image"])
        if name not in settings.resources:
            raise ConfigError(f"step {label.removeprefix('exec-')}: no resources for image {name}; add them")
        resources, executors[label] = made[name, label in spot]
        container["resources"] = _within_limits({**resources, **container.get("resources", {})})
    kubernetes = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
    documents = [yaml.dump(document, Dumper=_WithoutAliases, sort_keys=True) for document in (spec, kubernetes)]
    return comment + "---\n".join(documents)


def _within_limits(resources: dict[str, Any]) -> dict[str, Any]:
    """A step with a smaller limit of its own requests no more than that: Kubernetes refuses such a pod."""
    for what in ("cpu", "memory"):
        if resources[f"{what}Request"] > resources[f"{what}Limit"]:
            capital = what.capitalize()
            resources[f"{what}Request"] = resources[f"{what}Limit"]
            resources[f"resource{capital}Request"] = resources[f"resource{capital}Limit"]
    return resources


def _step(settings: StepSettings, resources: Resources, *, spot: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Resources and kfp-kubernetes settings of a step, as kfp writes them: a pipeline of one step is compiled."""
    from google.protobuf import json_format
    from kfp import components, dsl, kubernetes

    step = components.load_component_from_text(_ANY_STEP)

    def one_step():  # type: ignore[no-untyped-def]  # kfp reads annotations, and would take 'None' for an artifact
        task = step()
        task.set_cpu_request(resources.cpu_request).set_cpu_limit(resources.cpu_limit)
        task.set_memory_request(resources.memory_request).set_memory_limit(resources.memory_limit)
        kubernetes.set_image_pull_policy(task, settings.image_pull_policy)
        if settings.image_pull_secrets:
            kubernetes.set_image_pull_secrets(task, settings.image_pull_secrets)
        for key, value in sorted(settings.node_selector.items()):
            kubernetes.add_node_selector(task, key, value)
        if spot:
            kubernetes.add_node_selector(task, SPOT, "true")
            kubernetes.add_toleration(task, key=SPOT, operator="Equal", value="true", effect="NoSchedule")
        for secret, variables in sorted(settings.secret_environment.items()):
            kubernetes.use_secret_as_env(task, secret, variables)

    try:
        pipeline = dsl.pipeline(one_step, name="one-step")
    except ValueError as error:
        raise ConfigError(f"Kubernetes settings: {error}; see deploy/templates/kubernetes.yaml") from error
    (executor,) = json_format.MessageToDict(pipeline.pipeline_spec)["deploymentSpec"]["executors"].values()
    platform = json_format.MessageToDict(pipeline.platform_spec)["platforms"]["kubernetes"]
    (config,) = platform["deploymentSpec"]["executors"].values()
    return executor["container"]["resources"], config


class _WithoutAliases(yaml.SafeDumper):
    """Every step spelled out: a reader of a template should not have to look up anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
