"""The command of a lightweight KFP component, taken apart.

As ``kfp dsl compile`` 2.17.0 writes it::

    sh -c '… pip install … && "$0" "$@"'          only with install_kfp_package or packages_to_install
    sh -ec 'program_path=$(mktemp -d) … _KFP_RUNTIME=true python3 -m kfp.dsl.executor_main …'
    <source of the component>
    --executor_input {…} --function_to_execute <name>
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

EXECUTOR = "kfp.dsl.executor_main"
PROGRAM = (
    'program_path=$(mktemp -d) printf "%s" "$0" > "$program_path/ephemeral_component.py" '
    "_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main "
    '--component_module_path "$program_path/ephemeral_component.py" "$@"'
)

# What the compiler installs by itself. Every environment has it.
BY_THE_COMPILER = ("kfp==", "--no-deps", "typing-extensions")


class LightweightCommand(msgspec.Struct, frozen=True, kw_only=True):
    """``arguments`` go to ``kfp.dsl.executor_main`` after ``--component_module_path <file with source>``.

    ``packages`` are those the component asks pip for, besides kfp. ``standard`` says that the shell program
    is exactly the compiler's, so that running ``source`` and ``arguments`` elsewhere is the same.
    """

    program: str
    source: str
    arguments: list[str]
    packages: list[str]
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
    head = " ".join(command[: at - 2])
    packages = [name for name in re.findall(r"'([^']+)'", head) if not name.startswith(BY_THE_COMPILER)]
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


def unrunnable(spec: dict[str, Any]) -> list[str]:
    """A sentence for each executor that this runner cannot run."""
    problems = []
    for label, container in containers(spec).items():
        name = label.removeprefix("exec-")
        parsed = parse_command([*container.get("command", []), *container.get("args", [])])
        if parsed is None:
            problems.append(f"{name} is not a lightweight Python component; only those run without containers")
        elif parsed.packages:
            problems.append(f"{name} installs {', '.join(parsed.packages)} at run time; put it into the image")
    return problems
