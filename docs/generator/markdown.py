"""Markdown pieces that several pages use."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

HEAD = "<!-- Written by `make reference` from the code. Do not edit. -->\n"


def heading(title: str, text: str) -> str:
    """The top of a page."""
    return f"{HEAD}# {title}\n\n{text.strip()}\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are escaped for it."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(cell(text) for text in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """One line, bars escaped."""
    return " ".join(text.split()).replace("|", "\\|")


def prose(docstring: str) -> str:
    """A docstring as Markdown: roles and double backticks become single ones, a drawing becomes a block."""
    text = inspect.cleandoc(docstring)
    text = re.sub(r":\w+:`~?([^`]+)`", lambda found: f"`{found[1].rpartition('.')[2]}`", text)
    return re.sub(r"(?<![`\w'])''(?![`'])", "`''`", text.replace("``", "`"))


def sentences(docstring: str, name: str) -> str:
    """The sentences of a docstring that speak of ``name`` in double backticks, as Markdown; '' if none does.

    ``a``, ``b``: text. counts for both.
    """
    text = " ".join(inspect.cleandoc(docstring).split())
    parts = re.split(r"(?<=[.;])\s+(?=[A-Z`])", text)
    return prose(" ".join(part for part in parts if re.search(rf"``{re.escape(name)}\b[^`]*``", part)))


def first_sentence(docstring: str) -> str:
    """The first sentence of a docstring."""
    return prose(re.split(r"(?<=\.)\s", inspect.cleandoc(docstring))[0])
