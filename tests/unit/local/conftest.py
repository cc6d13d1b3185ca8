"""Runs compiled pipelines through ``python -m interlock.local.job`` as the emulator does: as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from kfp import compiler


class Finished(msgspec.Struct):
    """A job that has ended: its events in order and the folder with its logs."""

    events: list[dict[str, Any]]
    log_dir: Path
    exit_code: int

    @property
    def verdict(self) -> dict[str, Any]:
        return self.events[-1]

    def states(self, task: str) -> list[str]:
        return [event["state"] for event in self.events if event.get("task") == task]

    def end_of(self, task: str) -> dict[str, Any]:
        return [event for event in self.events if event.get("task") == task][-1]

    def output(self, task: str, name: str = "Output") -> Any:
        return self.end_of(task)["outputs"][name]


def as_rest_carries_it(value: Any) -> Any:
    """google.protobuf.Struct has one number type: every int becomes a float."""
    if isinstance(value, dict):
        return {key: as_rest_carries_it(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_rest_carries_it(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Jobs:
    """Starts jobs below one folder; warm interpreters are shared by the whole test session."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder = folder
        self.state = state

    def compile(self, pipeline: Any) -> dict[str, Any]:
        file = self.folder / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(file))
        spec: dict[str, Any] = as_rest_carries_it(yaml.safe_load(file.read_text()))
        return spec

    def start(
        self,
        pipeline: Any,
        parameters: dict[str, Any] | None = None,
        *,
        warm: bool = False,
        environment: dict[str, str] | None = None,
        settings: dict[str, str] | None = None,
        fail_fast: bool = False,
    ) -> tuple[subprocess.Popen[bytes], Path]:
        name = f"job-{uuid.uuid4().hex[:8]}"
        log_dir = self.folder / name / "logs"
        job = {
            "job": name,
            "pipeline_spec": self.compile(pipeline),
            "parameters": parameters or {},
            "pipeline_root": str(self.folder / "root"),
            "log_dir": str(log_dir),
            "state": str(self.state),
            "environment": environment or {},
            "owner": os.getpid(),
            "fail_fast": fail_fast,
            "cache": str(self.folder / f"cache-{warm}"),
        }
        job_file = self.folder / f"{name}.json"
        job_file.write_text(json.dumps(job))
        process = subprocess.Popen(
            [sys.executable, "-m", "interlock.local.job", str(job_file)],
            stdout=subprocess.PIPE,
            env={**os.environ, "INTERLOCK_WARM": "1" if warm else "0", **(settings or {})},
        )
        return process, log_dir

    def run(self, pipeline: Any, parameters: dict[str, Any] | None = None, **how: Any) -> Finished:
        process, log_dir = self.start(pipeline, parameters, **how)
        try:
            output, _ = process.communicate(timeout=120)
        finally:
            process.kill()
        events = [json.loads(line) for line in output.splitlines()]
        return Finished(events, log_dir, process.returncode)


@pytest.fixture(scope="session")
def warm_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Warm interpreters end when this process, their owner, is gone."""
    return tmp_path_factory.mktemp("warm-state")


@pytest.fixture
def jobs(tmp_path: Path, warm_state: Path) -> Jobs:
    return Jobs(tmp_path, warm_state)


@pytest.fixture(params=[False, True], ids=["plain", "warm"])
def run(request: pytest.FixtureRequest, jobs: Jobs) -> Callable[..., Finished]:
    """Run a pipeline both ways: the results must not differ."""
    return lambda pipeline, parameters=None, **how: jobs.run(pipeline, parameters, warm=request.param, **how)
