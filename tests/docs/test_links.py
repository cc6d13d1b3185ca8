"""Links inside the repository lead somewhere, anchors included. The site's own build checks them once more.

Links to elsewhere are listed in external_links.txt, for whoever has a network to try them; here their form is held.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .pages import ROOT, pages

LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")
EXTERNAL = Path(__file__).with_name("external_links.txt")
FORMS = {
    "github.com": r"/[\w-]+/[\w.-]+(/(issues|pull)/\d+|/(tree|blob)/[\w./-]+)?",
    "arxiv.org": r"/abs/\d{4}\.\d{5}",
}
ROOT_PAGES = {"architecture.md", "changelog.md", "contributing.md", "security.md"}  # docs/hooks.py makes them


@pytest.mark.parametrize("page", pages(), ids=[str(page.relative_to(ROOT)) for page in pages()])
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert [link for link in LINK.findall(text) if problem(page, link)] == []


def test_every_picture_is_shown_in_light_and_dark() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in pages())
    shown = set(re.findall(r"pictures/([\w.-]+\.png)", text))
    assert shown == {path.name for path in (ROOT / "docs" / "pictures").iterdir()}
    assert {name.replace("-light", "-dark") for name in shown} == {name for name in shown if name.endswith("-dark.png")}


def external() -> set[str]:
    """Every address outside of the repository that a page links to."""
    links = {link for page in pages() for link in LINK.findall(page.read_text(encoding="utf-8"))}
    return {link for link in links if re.match(r"\w+:", link)}


def test_links_to_elsewhere_are_listed() -> None:
    listed = EXTERNAL.read_text(encoding="utf-8").splitlines()
    assert listed == sorted(set(listed))
    assert set(listed) == external(), f"{EXTERNAL.name} has them all; try a new one before you add it"


@pytest.mark.parametrize("link", sorted(external()))
def test_links_to_elsewhere_are_well_formed(link: str) -> None:
    parts = urlsplit(link)
    assert parts.scheme == "https"
    assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc), "no port, no user, lower case"
    assert not parts.query, "an address that will be there next year needs no query"
    form = FORMS.get(parts.netloc)
    assert form is None or re.fullmatch(form, parts.path), f"{parts.netloc} has pages like {form}"


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
