"""``interlock submit``: one pipeline, on the running emulator, to its end."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from interlock.config import parse_config
from interlock.local import stack
from interlock.rehearsal.outcome import read_attempt
from interlock.rehearsal.progress import TaskLines
from interlock.submission import (
    compile_pipeline,
    deployment_parameters,
    job_id,
    read_use_case,
    require_source,
    require_success,
    run_job,
    training_parameters,
)


def submit(pipeline: str, config: Path, state: Path, *, start: str, end: str, console: Console) -> bool:
    """Submit and wait; whether it did what it was for: a deployment that was rolled back did not promote."""
    case = read_use_case(config)
    place = stack.require_place(state)
    template = compile_pipeline(pipeline, state / "templates")
    if pipeline == "training":
        require_source(case, config)
        parameters = training_parameters(place, case, start=start, end=end)
    else:
        parameters = deployment_parameters(place, case)
    with TaskLines(console) as lines:
        job = run_job(place, template, parameters=parameters, job_id=job_id(case.name, pipeline), progress=lines)
    require_success(job)
    if pipeline != "deployment":
        return True
    attempt = read_attempt(place, parse_config(case.config), title=case.name, window=[])
    console.print(f"version {attempt.version}: {attempt.outcome}, {attempt.reason}", markup=False)
    return attempt.outcome == "promoted"
