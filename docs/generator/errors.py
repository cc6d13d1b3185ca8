"""Exit codes, exceptions, and what the emulator and the model server answer when something is wrong."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import interlock
from generator.markdown import first_sentence, heading, table
from interlock import cli, errors
from interlock.commands import schema
from interlock.emulator.rpc import STATUSES
from interlock.serving.errors import STATUS

SOURCE = Path(interlock.__file__).parent


class Problem(NamedTuple):
    """An exception class that means a person can act."""

    name: str
    parent: str
    module: str
    text: str
    exit_code: int


def page() -> str:
    """The page."""
    return "\n".join(
        [
            heading(
                "Errors and exit codes",
                "An error a person can act on is one line: the thing, the value, the limit, the next step. The "
                "[runbook](../runbook.md) says what to check and what to do.",
            ),
            "## Exit codes\n",
            table(("code", "meaning"), ((str(code), text) for code, text in exit_codes().items())),
            "## Exceptions\n",
            table(
                ("exception", "kind of", "exit code", "when"),
                ((f"`{p.name}`", f"`{p.parent}`", str(p.exit_code), p.text) for p in problems()),
            ),
            "## The emulator's answers\n",
            'As Google APIs write them: `{"error": {"code", "message", "status"}}`.\n',
            table(("status", "HTTP"), ((f"`{name}`", str(status.http)) for name, status in STATUSES.items())),
            "## The model server's answers\n",
            "The same form; what causes each is under [the model server](../serving.md#what-bad-input-gets).\n",
            table(("HTTP", "status"), ((str(code), f"`{name}`") for code, name in sorted(STATUS.items()))),
        ]
    )


def exit_codes() -> dict[int, str]:
    """Of the command line."""
    gate, wrong = errors.GateFailed.exit_code, errors.ConfigError.exit_code
    assert gate == schema.DIFFERENT
    return {
        0: "done",
        errors.InterlockError.exit_code: "failed; the line on stderr says what and why. `replay`: not identical",
        wrong: "wrong input: config, table, option or argument; nothing was changed",
        gate: "a gate closed. `run`, `drill`: a version ended otherwise than expected. `schema diff`: the table "
        "does not fit",
        cli.ROLLED_BACK: "`submit deployment`: the candidate is not in production",
        130: "stopped by Ctrl-C",
    }


def problems() -> list[Problem]:
    """Every subclass of ``InterlockError`` in the package, found in the source: some import what is not here."""
    classes = [(node, path) for path in sorted(SOURCE.rglob("*.py")) for node in _classes(path)]
    found = {"InterlockError": Problem("InterlockError", "Exception", "errors", "", errors.InterlockError.exit_code)}
    while True:
        more = [
            (node, path, base.id)
            for node, path in classes
            for base in node.bases
            if isinstance(base, ast.Name) and base.id in found and node.name not in found
        ]
        if not more:
            break
        for node, path, parent in more:
            module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
            text = first_sentence(ast.get_docstring(node) or "")
            found[node.name] = Problem(node.name, parent, module, text, _exit_code(node, found[parent].exit_code))
    del found["InterlockError"]
    return list(found.values())


def _classes(path: Path) -> list[ast.ClassDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def _exit_code(node: ast.ClassDef, inherited: int) -> int:
    for line in node.body:
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant) and line.targets:
            target = line.targets[0]
            if isinstance(target, ast.Name) and target.id == "exit_code" and isinstance(line.value.value, int):
                return line.value.value
    return inherited
