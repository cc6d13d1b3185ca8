"""Steps run as kfp runs them: the compiled command of a component, in the environment of its image."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlock.settings import local_settings


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a step left: exit status, stderr, output artifacts by name, their metadata."""

    status: int
    error: str
    paths: dict[str, Path]
    metadata: dict[str, dict[str, Any]]


RunStep = Callable[..., Done]


@pytest.fixture
def run_step(tmp_path: Path) -> RunStep:
    """``run_step(component, inputs={"table": path}, config=…)``: parameters by name, artifacts as paths."""

    def run(component: Any, inputs: Mapping[str, Path] | None = None, **parameters: Any) -> Done:
        spec = component.component_spec
        container = spec.implementation.container
        folder = tmp_path / spec.name
        outputs = {name: folder / name for name in spec.outputs or {}}
        folder.mkdir(exist_ok=True)
        answer = folder / "executor_output.json"
        request = {
            "inputs": {
                "parameterValues": parameters,
                "artifacts": {name: artifact(name, path, spec.inputs[name]) for name, path in (inputs or {}).items()},
            },
            "outputs": {
                "artifacts": {name: artifact(name, path, spec.outputs[name]) for name, path in outputs.items()},
                "outputFile": str(answer),
            },
        }
        place = local_settings().environments / container.image.split("-")[1].partition(":")[0]
        arguments = [json.dumps(request) if each == "{{$}}" else each for each in container.args]
        done = subprocess.run(
            [*container.command, *arguments],
            env={**os.environ, "PATH": f"{place}/bin:{os.environ['PATH']}", "TF_CPP_MIN_LOG_LEVEL": "3"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        written = json.loads(answer.read_text())["artifacts"] if answer.exists() else {}
        metadata = {name: each["artifacts"][0].get("metadata", {}) for name, each in written.items()}
        return Done(status=done.returncode, error=done.stderr, paths=outputs, metadata=metadata)

    return run


def artifact(name: str, path: Path, spec: Any) -> dict[str, Any]:
    title = spec.type.partition("@")[0]
    return {"artifacts": [{"name": name, "uri": str(path), "type": {"schemaTitle": title}, "metadata": {}}]}
