"""``interlock schema``: infer a first schema, see what new data would change, accept it.

TFDV runs in the data environment, as a process of its own. A person reviews the file; nothing here is automatic.
"""

from __future__ import annotations

import difflib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from interlock.errors import ConfigError, EnvironmentProblem, InputError
from interlock.progress import Progress

DIFFERENT = 3  # exit status of `diff`: the table does not fit the schema

app = typer.Typer(help="The reviewed schema of the table: infer, diff, accept.", no_args_is_help=True)

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The use case, a YAML file.")]
StartOption = Annotated[str, typer.Option(help="First moment of the window, '' for open.")]
EndOption = Annotated[str, typer.Option(help="First moment after the window.")]


@app.command()
def infer(
    config: ConfigOption,
    start: StartOption = "",
    end: EndOption = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a schema that exists.")] = False,
) -> None:
    """Write a first schema from the data, for review."""
    file = _schema_file(config)
    if file.exists() and not force:
        raise ConfigError(f"{file} exists: use `interlock schema diff`, or --force to lose it")
    text = _ask(config, start, end, "infer")
    file.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{file}: {text.count('feature {')} features; review it line by line before you use it\n")


@app.command()
def diff(config: ConfigOption, start: StartOption = "", end: EndOption = "") -> None:
    """Show what `accept` would change. Exit status 3 when that is anything."""
    file = _schema_file(config, must_exist=True)
    changes = _changes(file, _ask(config, start, end, "update", file))
    sys.stdout.write(changes or f"{file}: the table fits\n")
    if changes:
        raise typer.Exit(DIFFERENT)


@app.command()
def accept(config: ConfigOption, start: StartOption = "", end: EndOption = "") -> None:
    """Widen the schema so far that the data pass, and show what changed. Comments and order stay."""
    file = _schema_file(config, must_exist=True)
    text = _ask(config, start, end, "update", file)
    changes = _changes(file, text)
    if changes:
        partial = file.with_suffix(".partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    sys.stdout.write(changes or f"{file}: the table fits; nothing to accept\n")


def _schema_file(config: Path, *, must_exist: bool = False) -> Path:
    from interlock.config import load_config

    named = load_config(config).validation.schema
    if not named:
        raise ConfigError(f"{config}: validation.schema is not set: name the file, for instance schema.pbtxt")
    file = config.parent / named
    if must_exist and not file.is_file():
        raise ConfigError(f"{file} does not exist: write a first one with `interlock schema infer`")
    return file


def _ask(config: Path, start: str, end: str, command: str, *more: Path) -> str:
    """Ingest the window into a folder of its own and ask the data environment."""
    from interlock.config import load_config
    from interlock.ingestion.ingest import ingest_table
    from interlock.local.environments import python_for
    from interlock.settings import local_settings

    settings = local_settings()
    python = python_for("interlock-data", settings.environments)
    with tempfile.TemporaryDirectory(prefix="interlock-schema-") as name:
        folder = Path(name)
        with Progress(sys.stderr) as say:
            ingest_table(load_config(config), start=start, end=end, base=config.parent, folder=folder, say=say)
        arguments = [command, str(folder / "table.parquet"), *(str(path.absolute()) for path in more)]
        process = subprocess.Popen(
            [str(python), "-W", "ignore", "-m", "interlock.validation.schema_files", *arguments],
            env={**settings.process_environment, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process, Progress(sys.stderr) as say:
            answer, errors = _wait(process, lambda: say("statistics of the table"))
    if process.returncode:
        last = (errors.strip().splitlines() or ["no message"])[-1]
        if last.startswith("interlock: "):
            raise InputError(last.removeprefix("interlock: "))
        raise EnvironmentProblem(f"{python}: statistics failed: {last}")
    return answer


def _wait(process: subprocess.Popen[str], meanwhile: Callable[[], None]) -> tuple[str, str]:
    """What it wrote to stdout and stderr; a process that still runs when this is interrupted is ended."""
    try:
        while True:
            meanwhile()
            try:
                return process.communicate(timeout=0.5)
            except subprocess.TimeoutExpired:
                continue
    except BaseException:
        process.kill()
        raise


def _changes(file: Path, text: str) -> str:
    before = file.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, text.splitlines(keepends=True), str(file), "accepted"))
