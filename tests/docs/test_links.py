"""Links inside the repository lead somewhere, anchors included. The site's own build checks them once more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .pages import ROOT, pages

LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")
ROOT_PAGES = {"architecture.md", "changelog.md", "contributing.md", "security.md"}  # docs/hooks.py makes them


@pytest.mark.parametrize("page", pages(), ids=[str(page.relative_to(ROOT)) for page in pages()])
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert [link for link in LINK.findall(text) if problem(page, link)] == []


def problem(page: Path, link: str) -> str:
    if link.startswith(("https://", "http://", "mailto:")):
        return ""
    path, _, anchor = link.partition("#")
    target = page if not path else page.parent / path
    if not target.exists() and target.parent.resolve() == ROOT / "docs" and target.name in ROOT_PAGES:
        target = ROOT / f"{target.stem.upper()}.md"
    if not target.exists():
        return f"{link}: no such file"
    if anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
        return f"{link}: no such heading"
    return ""


def anchors(text: str) -> set[str]:
    """As mkdocs makes them, and those that a heading sets itself."""
    found = set()
    for line in re.sub(r"```.*?```", "", text, flags=re.DOTALL).splitlines():
        if match := re.match(r"#+ (.*)", line):
            title, _, own = match[1].partition("{ #")
            words = re.sub(r"[^\w\s-]", "", title.lower()).strip()
            found |= {re.sub(r"[\s-]+", "-", words), own.removesuffix("}").strip()}
    return found
