"""``interlock submit``: one pipeline, on the running emulator to its end, or on Google Cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from interlock.config import parse_config
from interlock.contracts import Place, read_contract
from interlock.errors import InputError
from interlock.ingestion.ingest import parse_window
from interlock.local import stack
from interlock.rehearsal.outcome import read_attempt
from interlock.rehearsal.progress import TaskLines
from interlock.submission import (
    UseCase,
    compile_pipeline,
    deployment_parameters,
    job_id,
    monitoring_parameters,
    read_use_case,
    require_source,
    require_success,
    run_job,
    training_parameters,
)
from interlock.vertex import jobs


def submit(pipeline: str, config: Path, state: Path, *, start: str, end: str, console: Console) -> bool:
    """Submit and wait; whether it did what it was for: a deployment that was rolled back did not promote."""
    case = read_use_case(config)
    place = stack.require_place(state)
    template = compile_pipeline(pipeline, state / "templates", parse_config(case.config).training.machine)
    if pipeline == "training":
        parse_window(start, end, "window")
        require_source(case, config)
    parameters = _parameters(pipeline, place, case, start=start, end=end)
    with TaskLines(console) as lines:
        job = run_job(place, template, parameters=parameters, job_id=job_id(case.name, pipeline), progress=lines)
    require_success(job)
    if pipeline != "deployment":
        return True
    attempt = read_attempt(place, parse_config(case.config), title=case.name, window=[])
    console.print(f"version {attempt.version}: {attempt.outcome}, {attempt.reason}", markup=False)
    return attempt.outcome == "promoted"


def hand_over(
    pipeline: str, config: Path, place: Path, template: str, *, start: str, end: str, console: Console
) -> None:
    """Submit ``template``, a file or an address, to the place in file ``place`` and leave it to run there.

    The tables are not looked at first: who submits may not read them.
    """
    where = read_contract(place, Place)
    case = read_use_case(config)
    parameters = _parameters(pipeline, where, case, start=start, end=end)
    try:
        job = jobs.submit(where, template, parameters=parameters, job_id=job_id(case.name, pipeline))
    except (FileNotFoundError, yaml.YAMLError) as error:
        raise InputError(
            f"template {template} is not one document of YAML: {error}; give what `interlock compile` writes to vertex/"
        ) from error
    console.print(job, markup=False, soft_wrap=True)


def _parameters(pipeline: str, place: Place, case: UseCase, *, start: str, end: str) -> dict[str, Any]:
    if pipeline == "training":
        return training_parameters(place, case, start=start, end=end)
    if pipeline == "monitoring":
        return monitoring_parameters(place, case, hours=parse_config(case.config).monitoring.hours)
    return deployment_parameters(place, case)
