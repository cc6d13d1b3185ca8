"""From a config file to a pipeline job: compile, gather the parameters, submit, watch."""

from __future__ import annotations

import hashlib
import importlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import yaml

import interlock
from interlock.config import Machine, parse_config, read_config_text
from interlock.config.text import read_yaml
from interlock.contracts import Place
from interlock.errors import ConfigError, EnvironmentProblem, GateFailed, InterlockError
from interlock.local.templates import write_template
from interlock.vertex.jobs import JobState, submit, watch

PIPELINES = ("training", "deployment", "monitoring")
Progress = Callable[[JobState], None]


class UseCase(msgspec.Struct, frozen=True, kw_only=True):
    """A config file with everything beside it that pipelines need, as text."""

    config: str
    schema: str
    base: str
    name: str


def read_use_case(path: Path, *, extra_numbers: list[str] | None = None) -> UseCase:
    """Read and check the config at ``path`` and its schema; ``extra_numbers`` become numeric features too."""
    text = read_config_text(path)
    parse_config(text, str(path))
    if extra_numbers:
        raw = read_yaml(text)
        raw["features"]["numbers"] = [*raw["features"].get("numbers", []), *extra_numbers]
        text = yaml.safe_dump(raw, sort_keys=False)
    config = parse_config(text, str(path))
    schema = ""
    if config.validation.schema:
        file = path.parent / config.validation.schema
        if not file.is_file():
            written = f"`interlock schema infer -c {path}` writes it"
            raise ConfigError(f"{path}: validation.schema: no file {file}; {written}")
        schema = file.read_text(encoding="utf-8")
    return UseCase(config=text, schema=schema, base=str(path.parent.resolve()), name=config.name)


def compile_pipeline(name: str, folder: Path, machine: Machine | None = None) -> Path:
    """Compile ``interlock.pipelines.<name>`` into ``folder``; returns the template. ``machine`` is of the training."""
    if name not in PIPELINES:
        raise ConfigError(f"pipeline {name!r} does not exist; there are {', '.join(PIPELINES)}")
    module = importlib.import_module(f"interlock.pipelines.{name}")
    pipeline = module.training_on(machine) if name == "training" and machine else getattr(module, name)
    return write_template(pipeline, folder / f"{name}.yaml")


def require_source(case: UseCase, file: Path) -> None:
    """Every table is there and has the columns that the config names; else it is refused before anything runs."""
    from interlock.ingestion.preflight import require_columns

    require_columns(parse_config(case.config, str(file)), base=Path(case.base), file=str(file))


def training_parameters(place: Place, case: UseCase, *, start: str, end: str) -> dict[str, Any]:
    """Parameters of the training pipeline."""
    return {
        "config": case.config,
        "place": place_text(place),
        "schema": case.schema,
        "start": start,
        "end": end,
        "base": case.base,
        "git_revision": git_revision(Path(case.base)),
        "lock_sha256": lock_sha256(),
    }


def deployment_parameters(place: Place, case: UseCase) -> dict[str, Any]:
    """Parameters of the deployment pipeline."""
    return {"config": case.config, "place": place_text(place)}


def monitoring_parameters(
    place: Place, case: UseCase, *, hours: float, retrain: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Parameters of the monitoring pipeline. ``retrain``: what a training is submitted with, None for no training."""
    text = msgspec.json.encode(retrain).decode() if retrain else ""
    return {"config": case.config, "place": place_text(place), "hours": hours, "retrain": text}


def place_text(place: Place) -> str:
    """A place as pipelines take it."""
    return msgspec.json.encode(place).decode()


def run_job(
    place: Place, template: Path, *, parameters: dict[str, Any], job_id: str, progress: Progress | None = None
) -> JobState:
    """Submit and wait; the last state, whatever it is. ``progress`` sees every change."""
    job = submit(place, template, parameters=parameters, job_id=job_id)
    state: JobState | None = None
    for state in watch(place, job, every=0.2 if place.api_endpoint else 10.0):
        if progress is not None:
            progress(state)
    assert state is not None  # watch yields at least once
    return state


def require_success(state: JobState) -> None:
    """Raise what made the job fail: :class:`GateFailed` for a closed gate, so that scripts can tell."""
    if state.state == "succeeded":
        return
    failed = next((task for task in state.tasks if task.state == "failed" and task.error), None)
    reason = failed.error if failed else state.error or "no reason given"
    where = f"{failed.name}: " if failed else ""
    kind: type[InterlockError] = GateFailed if "GateFailed" in reason else EnvironmentProblem
    raise kind(f"job {state.name} {state.state}: {where}{reason}")


def job_id(name: str, pipeline: str) -> str:
    """A job id that no other has: model, pipeline, time."""
    return f"{name}-{pipeline}-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{time.time_ns() // 1000 % 1_000_000:06d}"


def git_revision(folder: Path) -> str:
    """Revision of the checkout that holds ``folder``, ``+`` behind it when it has changes; '' outside of one."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def lock_sha256() -> str:
    """Digest of the lock this environment was built from, '' where it is not beside the source."""
    lock = Path(interlock.__file__).parents[2] / "requirements" / "ml.lock"
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else ""
