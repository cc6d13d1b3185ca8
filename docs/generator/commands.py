"""The command line, from the Typer app."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from generator.markdown import heading, prose, table
from interlock.cli import app

WORDS = {str: "text", Path: "path", int: "whole number", float: "number", bool: ""}


def page() -> str:
    """The page."""
    parts = [
        heading(
            "Commands",
            "`.venv/ml/bin/interlock COMMAND`, or `interlock` with `.venv/ml/bin` on the path. `interlock --debug "
            "COMMAND` shows the traceback of an error; exit codes are under [errors](errors.md#exit-codes). "
            "`INTERLOCK_STATE` moves the default of `--state`.",
        )
    ]
    return "\n".join([*parts, *(_command(name, command) for name, command in commands())])


def commands() -> Iterator[tuple[str, Any]]:
    """(``schema infer``, command) of every command, groups opened."""
    yield from _below("", typer.main.get_command(app))


def _below(prefix: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _below(f"{prefix}{name} ", command)
        else:
            yield f"{prefix}{name}", command


def _command(name: str, command: Any) -> str:
    arguments = [parameter for parameter in command.params if not parameter.opts[0].startswith("-")]
    usage = " ".join([f"interlock {name}", *(parameter.name.upper() for parameter in arguments)])
    text = f"## {name}\n\n`{usage}`\n\n{prose(command.help or '')}\n"
    rows = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
    return f"{text}\n{table(('', 'type', 'default', 'meaning'), rows)}" if rows else text


def _parameter(parameter: Any) -> tuple[str, str, str, str]:
    is_option = parameter.opts[0].startswith("-")
    names = ", ".join(f"`{name}`" for name in parameter.opts) if is_option else f"`{parameter.name.upper()}`"
    return names, _type(parameter), _default(parameter), parameter.help or ""


def _type(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    inner = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    if inner and all(isinstance(kind, str) for kind in inner):  # a Literal
        return " or ".join(f"`{kind}`" for kind in inner)
    kind = inner[0] if inner else annotation
    limits = "".join(
        f", {sign} {limit:g}" for sign, limit in ((">=", parameter.min), ("<=", parameter.max)) if limit is not None
    )
    return WORDS[kind] + limits + (", may be given more than once" if parameter.multiple else "")


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if callable(value):
        value = value({})  # settings without an environment
    if value is None or value is False or value in ("", []):
        return ""
    return f"`{value}`"
