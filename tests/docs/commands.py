"""Whether a shell command in a page is one of ours, with options that it has."""

from __future__ import annotations

import re
import shlex
from typing import Any

import typer

from interlock.cli import app

from .pages import ROOT

VERBS = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
COMMAND = re.compile(r"(?:^|[;&|(]|\$\()\s*(?:\.venv/ml/bin/)?(interlock|make) ([^|;&)<>]*)")


def problems(text: str) -> list[str]:
    """What is wrong with the ``interlock`` and ``make`` commands in a shell text."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        code = line.partition(" #")[0]
        for program, rest in COMMAND.findall(code):
            words = shlex.split(rest, comments=True)
            found += [
                f"{code.strip()}: {problem}" for problem in (_ours(words) if program == "interlock" else _make(words))
            ]
    return found


def _make(words: list[str]) -> list[str]:
    targets = [word for word in words if "=" not in word and not word.startswith("-")]
    return [f"no verb {target} in the Makefile" for target in targets if target not in VERBS]


def _ours(words: list[str]) -> list[str]:
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words:
        while words and words[0].startswith("-"):
            words = words[1:]
        name = words[0] if words else ""
        if name not in command.commands:
            return [f"no command {name!r}; there are {', '.join(command.commands)}"]
        command, words = command.commands[name], words[1:]
    known = {option: parameter for parameter in command.params for option in parameter.opts}
    options = [word.partition("=")[0] for word in words if word.startswith("-") and word != "-"]
    return [f"no option {option}; there are {', '.join(known)}" for option in options if option not in known]
