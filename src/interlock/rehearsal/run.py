"""The main job, from an empty registry to a candidate that is promoted and one that is rolled back."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from rich.console import Console

from interlock.config import Config, parse_config
from interlock.contracts import Place
from interlock.errors import EnvironmentProblem
from interlock.local import stack
from interlock.rehearsal.outcome import Attempt, read_attempt, read_version
from interlock.rehearsal.progress import TaskLines
from interlock.rehearsal.scenario import Live, Version, load_scenario
from interlock.rehearsal.traffic import Plan
from interlock.submission import (
    UseCase,
    compile_pipeline,
    deployment_parameters,
    job_id,
    read_use_case,
    require_source,
    require_success,
    run_job,
    training_parameters,
)
from interlock.vertex.client import parent

STATE_MARK = "rehearsal"
STOP_SECONDS = 10.0


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How the run ended, version by version, and how long it took."""

    place: Place
    config: Config
    started: float
    seconds: float
    attempts: list[Attempt]
    expected: list[str]

    @property
    def as_expected(self) -> bool:
        """Whether every version ended as the scenario says."""
        return [attempt.outcome for attempt in self.attempts] == self.expected


def run_scenario(path: Path, state: Path, console: Console, runner: str = "") -> Result:
    """Run the scenario on fresh emulators with their state in ``state``, which is emptied first.

    ``runner`` is that of :func:`interlock.local.stack.up`. The emulators are left running: whoever calls decides when
    they end.
    """
    scenario = load_scenario(path)
    config_path = path.parent / scenario.config
    cases = [read_use_case(config_path, extra_numbers=version.extra_numbers) for version in scenario.versions]
    for case in cases:
        require_source(case, config_path)
    base = read_use_case(config_path)
    started = time.time()
    _empty(state)
    place = stack.up(state, runner=runner)
    where = f"Vertex AI emulator {place.api_endpoint}, storage {place.storage_endpoint}, state {state}"
    console.print(where, soft_wrap=True)
    templates = {name: compile_pipeline(name, state / "templates") for name in ("training", "deployment")}

    live = LiveTraffic(place, base, scenario.live, state)
    attempts = [
        _attempt(place, case, version, templates, live, console)
        for version, case in zip(scenario.versions, cases, strict=True)
    ]
    return Result(
        place=place,
        config=parse_config(base.config),
        started=started,
        seconds=time.time() - started,
        attempts=[_as_it_stands(place, attempt, parse_config(base.config)) for attempt in attempts],
        expected=[version.expect for version in scenario.versions],
    )


def _attempt(
    place: Place,
    case: UseCase,
    version: Version,
    templates: dict[str, Path],
    live: LiveTraffic,
    console: Console,
) -> Attempt:
    """Train and deploy one version."""
    console.print(f"\n[bold]{version.title}[/]\n  training", highlight=False)
    parameters = training_parameters(place, case, start=version.start, end=version.end)
    with TaskLines(console) as lines:
        trained = run_job(
            place,
            templates["training"],
            parameters=parameters,
            job_id=job_id(case.name, "training"),
            progress=lines,
        )
    require_success(trained)
    console.print("  deployment, under live traffic")
    with live.flowing(), TaskLines(console) as lines:
        deployed = run_job(
            place,
            templates["deployment"],
            parameters=deployment_parameters(place, case),
            job_id=job_id(case.name, "deployment"),
            progress=lines,
        )
    require_success(deployed)
    attempt = read_attempt(place, parse_config(case.config), title=version.title, window=[version.start, version.end])
    console.print(f"  version {attempt.version}: [bold]{attempt.outcome}[/], {attempt.reason}", soft_wrap=True)
    return attempt


def _as_it_stands(place: Place, attempt: Attempt, config: Config) -> Attempt:
    """Aliases move while later versions are deployed: read them once more at the end."""
    model = attempt.model
    now = read_version(place, config, attempt.version, title=model.title, window=model.window)
    return msgspec.structs.replace(attempt, model=now)


class LiveTraffic:
    """Replays the live rows against the endpoint while a deployment runs, each time from where it stopped.

    Not while training: on two cores the two would only slow each other.
    """

    def __init__(self, place: Place, case: UseCase, live: Live, state: Path) -> None:
        folder = state / "traffic"
        config = parse_config(case.config)
        rows = prepare_rows(config, live, base=Path(case.base), folder=folder)
        url = f"{place.api_endpoint}/v1/{parent(place)}/endpoints/{config.name}:predict"
        self._plan = Plan(
            url=url,
            warehouse=place.warehouse,
            rows=str(rows),
            label=config.label.name,
            fields=config.features.names,
            requests_per_second=live.requests_per_second,
            connections=live.connections,
            progress=str(folder / "progress.json"),
        )
        self._log = state / "logs" / "traffic.log"

    @contextlib.contextmanager
    def flowing(self) -> Iterator[None]:
        """Traffic until the block ends; :class:`EnvironmentProblem` if the replay ended by itself."""
        plan = Path(self._plan.progress).with_name("plan.json")
        plan.write_bytes(msgspec.json.encode(self._plan))
        with self._log.open("ab") as output:
            command = [sys.executable, "-m", "interlock.rehearsal.traffic", str(plan)]
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            yield
            if process.poll() is not None:
                lines = self._log.read_text(errors="replace").strip().splitlines()
                raise EnvironmentProblem(f"the traffic replay ended: {lines[-1] if lines else 'no message'}")
        finally:
            process.terminate()
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def prepare_rows(config: Config, live: Live, *, base: Path, folder: Path) -> Path:
    """The live rows with a known outcome, as a Parquet file."""
    import numpy as np
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from interlock.features.build import query_rows
    from interlock.ingestion.ingest import ingest_table

    ingest_table(config, start=live.start, end=live.end, base=base, folder=folder / "source")
    rows = query_rows(config, folder / "source")
    rows = rows.filter(pc.is_valid(rows.column(config.label.name)))
    if live.order == "shuffled":
        rows = rows.take(np.random.default_rng(config.seed).permutation(rows.num_rows))
    pq.write_table(rows, folder / "rows.parquet")
    return folder / "rows.parquet"


def _empty(state: Path) -> None:
    """Remove the state of an earlier run; refuse a folder that is not one."""
    mark = state / STATE_MARK
    if state.exists() and not mark.exists() and any(state.iterdir()):
        raise EnvironmentProblem(f"state folder {state} holds something else than a run: give another --state")
    stack.down(state)
    shutil.rmtree(state, ignore_errors=True)
    stack.require_writable(state)
    mark.touch()
