"""The command of a lightweight KFP component, taken apart.

As ``kfp dsl compile`` 2.17.0 writes it::

    sh -c '… pip install … && "$0" "$@"'          only with install_kfp_package or packages_to_install
    sh -ec 'program_path=$(mktemp -d) … _KFP_RUNTIME=true python3 -m kfp.dsl.executor_main …'
    <source of the component>
    --executor_input {…} --function_to_execute <name>
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

EXECUTOR = "kfp.dsl.executor_main"
PROGRAM = (
    'program_path=$(mktemp -d) printf "%s" "$0" > "$program_path/ephemeral_component.py" '
    "_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main "
    '--component_module_path "$program_path/ephemeral_component.py" "$@"'
)

# Options of pip that take a value of their own.
WITH_VALUE = ("--index-url", "--extra-index-url", "--trusted-host", "--find-links", "-i", "-f")
QUIET = ("--quiet", "--no-warn-script-location", "-q")


class Packages(msgspec.Struct, frozen=True):
    """What a component asks pip for, besides kfp, which every environment has."""

    names: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class LightweightCommand(msgspec.Struct, frozen=True, kw_only=True):
    """``arguments`` go to ``kfp.dsl.executor_main`` after ``--component_module_path <file with source>``.

    ``standard`` says that the shell program is exactly the compiler's, so that running ``source`` and ``arguments``
    elsewhere is the same.
    """

    program: str
    source: str
    arguments: list[str]
    packages: Packages
    standard: bool

    @property
    def command(self) -> list[str]:
        """The compiled command without its pip install."""
        return ["sh", "-ec", self.program, self.source, *self.arguments]


def parse_command(command: Sequence[str]) -> LightweightCommand | None:
    """``command`` taken apart, or None where it is not a lightweight component's."""
    at = next((i for i, part in enumerate(command) if EXECUTOR in part and "ephemeral_component.py" in part), 0)
    if at < 2 or len(command) < at + 2:
        return None
    packages = _packages(" ".join(command[: at - 2]))
    return LightweightCommand(
        program=command[at],
        source=command[at + 1],
        arguments=list(command[at + 2 :]),
        packages=packages,
        standard=" ".join(command[at].split()) == PROGRAM,
    )


def containers(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The container of each executor in a compiled pipeline; importers have none."""
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    return {label: executor["container"] for label, executor in executors.items() if "container" in executor}


def _packages(head: str) -> Packages:
    """The packages and options of every ``pip install`` in the shell text before the program."""
    names: list[str] = []
    options: list[str] = []
    for install in _pip_installs(head):
        parts = iter(install)
        asked: list[str] = []
        for part in parts:
            if part in WITH_VALUE:
                options += [part, next(parts, "")]
            elif not part.startswith("-"):
                asked.append(part)
            elif part not in (*QUIET, "--no-deps"):
                options.append(part)
        # The compiler's own line: kfp, and what kfp needs on old Pythons.
        if not any(re.match(r"kfp(==|$)", part) for part in asked):
            names += asked
    return Packages(tuple(dict.fromkeys(names)), tuple(dict.fromkeys(options)))


def _pip_installs(head: str) -> Iterator[list[str]]:
    """The arguments of each ``pip install``, up to the next ``&&`` or ``;``."""
    words = shlex.shlex(head, posix=True, punctuation_chars="&;|")
    words.whitespace_split = True
    found: list[str] | None = None
    before: list[str] = []
    for word in words:
        if found is not None and set(word) <= set("&;|"):
            yield found
            found = None
        elif found is not None:
            found.append(word)
        before = [*before[-1:], word]
        if before == ["pip", "install"]:
            found = []
    if found is not None:
        yield found


def missing_program(command: Sequence[str]) -> str:
    """The program of a container component that only its image has, '' where it is likely to be here."""
    program = command[0] if command else ""
    return program if program.startswith("/") and not Path(program).exists() else ""
