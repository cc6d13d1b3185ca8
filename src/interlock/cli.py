"""The command line. Each command is one call into the layer below; errors are one line with the next step."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

import interlock
from interlock.commands.init import init
from interlock.commands.replay import replay
from interlock.commands.schedule import schedule
from interlock.commands.schema import app as schema_app
from interlock.commands.templates import compile_templates, publish
from interlock.errors import InterlockError
from interlock.settings import state_folder

ROLLED_BACK = 4  # exit code: the pipeline did its work and the candidate is not in production

app = typer.Typer(
    help="From a table to production traffic: train, gate, register, roll out, roll back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    epilog="Exit codes: 0 done, 1 failed, 2 wrong input, 3 a gate closed, 4 rolled back.",
)
app.add_typer(schema_app, name="schema")
console = Console(highlight=False)

StateOption = Annotated[
    Path, typer.Option("--state", help="Folder of the emulators' state.", default_factory=state_folder)
]
PlaceOption = Annotated[
    Path | None, typer.Option("--place", help="A place on Google Cloud, as JSON, instead of the running emulators.")
]
RunnerOption = Annotated[
    Literal["process", "docker"] | None,
    typer.Option("--runner", help="A pipeline step is a process here, or a container of its image. [process]"),
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
    runner: RunnerOption = None,
) -> None:
    """Start the Vertex AI emulator, the storage emulator and the console on loopback, unless they run already."""
    from interlock.local import stack

    place = stack.up(state, port=port, runner=runner or "")
    missing = stack.missing_for_console()
    page = f"needs {', '.join(missing)}: extra ml" if missing else stack.open_console(state)
    if print_env:
        sys.stdout.write(stack.shell_exports(place))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in [
        ("Vertex AI", place.api_endpoint),
        ("storage", place.storage_endpoint),
        ("warehouse", place.warehouse),
        ("project", f"{place.project}, {place.location}"),
        ("console", page),
    ]:
        table.add_row(name, value)
    console.print(table)


@app.command("console")
def console_command(
    state: StateOption,
    port: Annotated[int, typer.Option(help="Port on loopback, 0 for any free one.")] = 0,
    project: Annotated[str, typer.Option(help="Show this Google Cloud project instead; read-only.")] = "",
    place: Annotated[Path | None, typer.Option(help="The same, from a place as JSON.")] = None,
    location: Annotated[str, typer.Option(help="With --project: its region.")] = "us-central1",
    bucket: Annotated[str, typer.Option(help="With --project: the bucket of its models.")] = "",
    warehouse: Annotated[str, typer.Option(help="With --project: SQLAlchemy URL of serving log and journal.")] = "",
    writable: Annotated[bool, typer.Option("--writable", help="With --project or --place: offer rollback.")] = False,
) -> None:
    """Serve the web page that shows all of it, on loopback, until Ctrl-C. `interlock up` starts one by itself."""
    from interlock.commands.console import run, run_place, run_project

    if place is not None:
        return run_place(place, writable=writable, port=port, console=console)
    if project:
        run_project(
            project,
            location=location,
            bucket=bucket,
            warehouse=warehouse,
            writable=writable,
            port=port,
            console=console,
        )
        return None
    return run(state, port=port, console=console)


@app.command()
def down(state: StateOption) -> None:
    """Stop the emulators and the console. Their state stays."""
    from interlock.local import stack

    stopped = stack.down(state)
    console.print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


@app.command()
def run(
    scenario: Annotated[Path, typer.Argument(help="The scenario, for instance examples/flights/run.yaml.")],
    state: Annotated[Path | None, typer.Option(help="Folder of the run, emptied first. [.interlock/run]")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the emulators running afterwards.")] = False,
    runner: RunnerOption = None,
) -> None:
    """Run a scenario end to end: train and deploy each version under replayed live traffic."""
    from interlock.commands.run import run as run_it

    run_it(scenario, state or state_folder() / "run", keep=keep, console=console, runner=runner or "")


@app.command()
def submit(
    pipeline: Annotated[str, typer.Argument(help="training, deployment or monitoring.")],
    config: ConfigOption,
    state: StateOption,
    start: Annotated[str, typer.Option(help="Training: first moment of the window, '' for open.")] = "",
    end: Annotated[str, typer.Option(help="Training: first moment after the window.")] = "",
    place: Annotated[
        Path | None, typer.Option(help="A place on Google Cloud, as JSON; the job is left to run there.")
    ] = None,
    template: Annotated[str, typer.Option(help="With --place: the compiled pipeline, a file or an address.")] = "",
) -> None:
    """Submit a pipeline to the running emulator and wait for it; with --place, to Google Cloud."""
    from interlock.commands.submit import hand_over
    from interlock.commands.submit import submit as submit_it

    if (place is None) != (not template):
        raise typer.BadParameter("--place and --template go together", param_hint="--place")
    if place is not None:
        hand_over(pipeline, config, place, template, start=start, end=end, console=console)
    elif not submit_it(pipeline, config, state, start=start, end=end, console=console):
        raise typer.Exit(ROLLED_BACK)


@app.command()
def status(
    state: StateOption,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Also show this use case's model.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it and the rollout under way; Ctrl-C ends.")] = False,
) -> None:
    """What runs, which versions there are, and how traffic is split."""
    from interlock.local import stack
    from interlock.status import read_status, status_table

    place = stack.require_place(state)
    if watch:
        from interlock.commands.watch import run

        return run(place, config, console=console)
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
    to: Annotated[str, typer.Option(help="The version to go to; deployed again if it is gone.")] = "",
    lift: Annotated[str, typer.Option(help="Move nothing; take the quarantine off this version.")] = "",
    replace_staging: Annotated[
        bool, typer.Option("--replace-staging", help="With --lift: even if another version waits in staging.")
    ] = False,
    place: PlaceOption = None,
) -> None:
    """All traffic back to the version before, alias and quarantine included. Works when the pipeline is dead."""
    from interlock.commands.rollback import run

    run(
        config,
        state,
        reason=reason,
        to=to,
        lift=lift,
        replace_staging=replace_staging,
        console=console,
        place=place,
    )


@app.command()
def settle(config: ConfigOption, state: StateOption, place: PlaceOption = None) -> None:
    """End the rollouts whose pipeline is dead: traffic and alias on one version that passed."""
    from interlock.commands.rollback import run_settle

    run_settle(config, state, console=console, place=place)


@app.command()
def approve(
    config: ConfigOption,
    state: StateOption,
    by: Annotated[str, typer.Option(help="Who agrees; goes into the journal.")],
    place: PlaceOption = None,
) -> None:
    """Let the rollout under way go on from the step it waits in, where the config asks for approval."""
    from interlock.commands.rollback import run_approve

    run_approve(config, state, by=by, console=console, place=place)


@app.command()
def history(
    config: ConfigOption,
    state: StateOption,
    place: PlaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Which version was in production when, who or what moved it, and why."""
    from interlock.commands.history import run

    run(config, state, as_json=as_json, console=console, place=place)


@app.command()
def plan(
    config: Annotated[Path, typer.Argument(help="The use case, a YAML file.")],
    state: StateOption,
    rate: Annotated[list[str], typer.Option(help="NAME=VALUE for each metric, instead of history.")] = [],  # noqa: B006
    requests_per_second: Annotated[float | None, typer.Option(help="Traffic to the endpoint.", min=0.001)] = None,
    runs: Annotated[int, typer.Option(help="Simulated rollouts per effect.", min=20)] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Simulate the rollout plan: false alarms, time to promote, requests exposed, and whether it can conclude."""
    from interlock.commands.plan import run

    run(
        config,
        state,
        rates=rate,
        requests_per_second=requests_per_second,
        runs=runs,
        as_json=as_json,
        console=console,
    )


@app.command()
def drill(
    fault: Annotated[list[str], typer.Option(help="One of the faults; all of them unless given.")] = [],  # noqa: B006
    per_second: Annotated[int, typer.Option(help="Requests per second of the load.", min=50)] = 400,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Inject faults into candidates on an emulator of its own, and prove that each is rolled back."""
    from interlock.commands.drill import run

    run(faults=fault, per_second=per_second, as_json=as_json, console=console)


@app.command()
def doctor(
    state: StateOption,
    local: Annotated[bool, typer.Option("--local", help="This machine; no network. The default.")] = False,
    kind: Annotated[bool, typer.Option("--kind", help="Docker and the kind cluster.")] = False,
    vertex: Annotated[bool, typer.Option("--vertex", help="The running emulators, or the project of --place.")] = False,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="With --vertex: also this use case.")] = None,
    place: Annotated[Path | None, typer.Option(help="With --vertex: a place/v1 file of a Google project.")] = None,
    port: Annotated[int, typer.Option(help="With --local: the port `interlock up` will get, 0 for any.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """What is missing, and the command that mends it. Exits 0 when nothing is, else 1; warnings are no failure."""
    from interlock.commands.doctor import run

    raise typer.Exit(
        run(
            local=local,
            kind=kind,
            vertex=vertex,
            state=state,
            config=config,
            place=place,
            port=port,
            as_json=as_json,
            console=console,
        )
    )


app.command()(init)
app.command()(schedule)
app.command()(replay)
app.command("compile")(compile_templates)
app.command()(publish)


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
