"""The command line. Each command is one call into the layer below; errors are one line with the next step."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import interlock
from interlock.errors import GateFailed, InterlockError
from interlock.settings import state_folder

ROLLED_BACK = 4  # exit code: the pipeline did its work and the candidate is not in production

app = typer.Typer(
    help="From a table to production traffic: train, gate, register, roll out, roll back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    epilog="Exit codes: 0 done, 1 failed, 2 wrong input, 3 a gate closed, 4 rolled back.",
)
console = Console(highlight=False)

StateOption = Annotated[
    Path, typer.Option("--state", help="Folder of the emulators' state.", default_factory=state_folder)
]
ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The use case, a YAML file.")]


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options before the command."""


@app.command()
def version() -> None:
    """Print the version."""
    console.print(interlock.__version__)


@app.command()
def up(
    state: StateOption,
    port: Annotated[int, typer.Option(help="Port of the Vertex AI emulator, 0 for any free one.")] = 0,
    print_env: Annotated[bool, typer.Option("--print-env", help='For eval "$(interlock up --print-env)".')] = False,
) -> None:
    """Start the Vertex AI emulator and the storage emulator on loopback, unless they run already."""
    from interlock.local import stack

    place = stack.up(state, port=port)
    if print_env:
        console.print(f"export STORAGE_EMULATOR_HOST={place.storage_endpoint}")
        console.print(f"export INTERLOCK_API_ENDPOINT={place.api_endpoint}")
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in [
        ("Vertex AI", place.api_endpoint),
        ("storage", place.storage_endpoint),
        ("warehouse", place.warehouse),
        ("project", f"{place.project}, {place.location}"),
    ]:
        table.add_row(name, value)
    console.print(table)


@app.command()
def down(state: StateOption) -> None:
    """Stop the emulators. Their state stays."""
    from interlock.local import stack

    stopped = stack.down(state)
    console.print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


@app.command()
def run(
    scenario: Annotated[Path, typer.Argument(help="The scenario, for instance examples/flights/run.yaml.")],
    state: Annotated[Path | None, typer.Option(help="Folder of the run, emptied first. [.interlock/run]")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the emulators running afterwards.")] = False,
) -> None:
    """Run a scenario end to end: train and deploy each version under replayed live traffic."""
    from interlock.local import stack
    from interlock.rehearsal.run import run_scenario
    from interlock.rehearsal.table import decision_lines, summary_table
    from interlock.report.page import write_report
    from interlock.report.run import RunReport

    folder = state or state_folder() / "run"
    try:
        result = run_scenario(scenario, folder, console)
    finally:
        if not keep:
            stack.down(folder)
    report = folder / "report.html"
    title = f"{result.config.name}: {len(result.attempts)} versions"
    write_report(
        RunReport(
            title=title,
            started=result.started,
            seconds=result.seconds,
            versions=[attempt.model for attempt in result.attempts],
            rollouts=[attempt.rollout for attempt in result.attempts],
        ),
        report,
    )
    console.print()
    console.print(summary_table(result.attempts))
    console.print()
    for line in decision_lines(result.attempts):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print(f"\n{result.seconds:.0f} s; report: {report}")
    if not result.as_expected:
        ended = ", ".join(attempt.outcome for attempt in result.attempts)
        raise GateFailed(f"expected {', '.join(result.expected)}; got {ended}: read {report}")


@app.command()
def submit(
    pipeline: Annotated[str, typer.Argument(help="training, deployment or monitoring.")],
    config: ConfigOption,
    state: StateOption,
    start: Annotated[str, typer.Option(help="Training: first moment of the window, '' for open.")] = "",
    end: Annotated[str, typer.Option(help="Training: first moment after the window.")] = "",
) -> None:
    """Submit a pipeline to the running emulator and wait for it."""
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
    if pipeline == "deployment":
        attempt = read_attempt(place, parse_config(case.config), title=case.name, window=[])
        console.print(f"version {attempt.version}: {attempt.outcome}, {attempt.reason}", markup=False)
        if attempt.outcome != "promoted":
            raise typer.Exit(ROLLED_BACK)


@app.command()
def status(
    state: StateOption,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Also show this use case's model.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """What runs, which versions there are, and how traffic is split."""
    from interlock.local import stack
    from interlock.status import read_status, status_table

    place = stack.require_place(state)
    rows = read_status(place, config)
    if as_json:
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    console.print(f"Vertex AI emulator {place.api_endpoint}, storage {place.storage_endpoint}")
    console.print(status_table(rows))


@app.command()
def rollback(
    config: ConfigOption,
    state: StateOption,
    reason: Annotated[str, typer.Option(help="Why; goes into the journal.")] = "asked for on the command line",
) -> None:
    """All traffic back to the version before, alias and quarantine included. Works when the pipeline is dead."""
    from interlock.config import load_config
    from interlock.local import stack
    from interlock.vertex.rollout import roll_back_latest

    place = stack.require_place(state)
    outcome = roll_back_latest(place, load_config(config), reason)
    console.print(f"{outcome.outcome}: version {outcome.production or 'none'} is in production")


def main() -> None:
    """Entry point: one line per error, the traceback with ``--debug``."""
    arguments: list[Any] = sys.argv[1:]
    try:
        app(args=arguments, standalone_mode=True)
    except InterlockError as error:
        if "--debug" in arguments:
            raise
        sys.stderr.write(f"interlock: {error}\n")
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt:
        sys.stderr.write("interlock: stopped\n")
        raise SystemExit(130) from None
