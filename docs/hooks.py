"""mkdocs: pages at the top of the repository become pages of the site, and the decisions list themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}


def on_config(config: Any) -> Any:
    """``decisions/`` in the navigation stands for all of them, by number."""
    config.nav = _listed(config.nav)
    return config


def _listed(entry: Any) -> Any:
    if entry == "decisions/":
        return [f"decisions/{path.name}" for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    if isinstance(entry, list):
        return [_listed(one) for one in entry]
    return {title: _listed(one) for title, one in entry.items()} if isinstance(entry, dict) else entry


def on_files(files: Files, config: Any) -> Files:
    """Add them."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=turned(text)))
    return files


def turned(text: str) -> str:
    """``docs/x.md`` and ``ARCHITECTURE.md`` are ``x.md`` and ``architecture.md`` from inside the site."""
    text = re.sub(r"\]\(docs/", "](", text)
    return re.sub(r"\]\(([A-Z]+\.md)", lambda found: f"]({PAGES.get(found[1], found[1])}", text)
