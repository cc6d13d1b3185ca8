"""Run a pipeline with every step in a container of its image: ``python steps.py JOB.json``.

Training by kfp.local.DockerRunner and nothing else. Deployment has conditions on outputs of tasks that also write
artifacts, which kfp.local 2.17.0 takes for false (interlock.local.conditions): there the steps run by kfp's own Docker
handler, and the rest as in the emulator.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import yaml
from interlock.pipelines.training import training
from kfp import local
from kfp.local.docker_task_handler import DockerTaskHandler
from kfp.local.status import Status

from interlock.local.kfp_hooks import run_pipeline
from interlock.submission import compile_pipeline


class Job(msgspec.Struct, frozen=True):
    """``root`` is mounted into every step at the same path; ``user`` is uid:gid; ``variables`` go to every step."""

    pipeline: str
    name: str
    parameters: dict[str, Any]
    root: str
    network: str
    user: str
    variables: dict[str, str]


def main(job: Job) -> None:
    os.umask(0)  # steps write, as another user, into folders that are made here
    runner = local.DockerRunner(network=job.network, user=job.user, environment={"HOME": "/tmp", **job.variables})
    if job.pipeline == "training":
        local.init(runner, pipeline_root=job.root, raise_on_error=True)
        training(**job.parameters)
        return

    def run_step(image: str, command: list[str], variables: dict[str, str]) -> int:
        step = DockerTaskHandler(image, command, job.root, runner, variables)
        return 0 if step.run() is Status.SUCCESS else 1

    folder = Path(job.root).parent
    template = compile_pipeline(job.pipeline, folder / f"{job.name}-template")
    run_pipeline(
        yaml.safe_load(template.read_text(encoding="utf-8")),
        job.parameters,
        job=job.name,
        pipeline_root=Path(job.root),
        workspace=folder / f"{job.name}-workspace",
        cache=folder / f"{job.name}-cache",
        run_command=run_step,
        around_task=lambda execute: execute,
        saw_inputs=lambda _: None,
    )


if __name__ == "__main__":
    main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Job))
