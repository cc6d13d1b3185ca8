"""Markdown pages and their code fences.

The convention, for every fence in README, CONTRIBUTING and docs/:

====================  =====================================================================================
title                 what holds it
====================  =====================================================================================
none                  bash: our commands and options exist, and a how-to page's are run; yaml: decodes as
                      config, or is a manifest; python: compiles, and what it imports of ours exists
``file.name``         as none; where a page is executed, it is written as that file first
``needs …``           a cloud, a cluster or Docker; bash: syntax, and our own commands exist; nothing is run
any other note        as none, and not run where the page is executed: it takes long, or stands for a choice
``prints``            (text) where a page is executed: its lines are printed, numbers aside
====================  =====================================================================================
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


class Fence(NamedTuple):
    """``text`` without the fence's indent; ``line`` is that of its first backtick."""

    page: str
    line: int
    language: str
    title: str
    text: str

    @property
    def where(self) -> str:
        """For test ids and messages."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page a person reads, generated ones included."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "SECURITY.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def fences(page: Path) -> list[Fence]:
    """In the order of the page."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        indent, language, rest, body = match.groups()
        title = re.search(r'title="([^"]*)"', rest)
        lines = [line.removeprefix(indent) for line in body.splitlines(keepends=True)]
        line = text.count("\n", 0, match.start()) + 1
        name = str(page.relative_to(ROOT))
        found.append(Fence(name, line, language, title[1] if title else "", "".join(lines)))
    return found
