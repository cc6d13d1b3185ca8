"""``interlock init TABLE --label COLUMN``: a first config file, read off the table."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from interlock.contracts import Task
from interlock.errors import ConfigError, InputError


def init(
    table: Annotated[str, typer.Argument(help="CSV or Parquet: a file, a folder, or any other source.table.")],
    label: Annotated[str, typer.Option(help="Column to predict.")],
    config: Annotated[Path, typer.Option("--config", "-c", help="The file to write.")] = Path("config.yaml"),
    time: Annotated[str, typer.Option(help="Column that orders the rows; the first one of times unless given.")] = "",
    key: Annotated[str, typer.Option(help="Column that identifies a row; one that repeats nothing unless given.")] = "",
    task: Annotated[str, typer.Option(help="binary, multiclass or regression; as the label looks unless given.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write a first config file, read off the table, with the judgements left to you marked TODO."""
    from interlock.commands.first_config import first_config
    from interlock.config import parse_config
    from interlock.ingestion.first_look import look

    tasks: dict[str, Task | None] = {
        "": None, "binary": "binary", "multiclass": "multiclass", "regression": "regression"
    }  # fmt: skip
    if task not in tasks:
        raise InputError(f"--task {task} does not exist; there are binary, multiclass, regression")
    if config.exists() and not force:
        raise ConfigError(f"{config} exists: name another file with --config, or --force to lose it")
    if not config.parent.is_dir():
        raise ConfigError(f"{config}: no folder {config.parent}; make it first")
    if "://" not in table and not table.startswith("package:") and not Path(table).is_absolute():
        table = os.path.relpath(table, config.parent)  # a table is looked for beside the config
    found = look(table, config.parent)
    text = first_config(found, table=table, label=label, time=time, key=key, task=tasks[task])
    parse_config(text, str(config))
    config.write_text(text, encoding="utf-8")
    sys.stdout.write(
        f"{config}: {len(found.rows.columns)} columns, looked at {len(found.rows)} rows; settle the lines marked TODO\n"
        f"next: interlock schema infer -c {config}; interlock up; interlock submit training -c {config}\n"
    )
