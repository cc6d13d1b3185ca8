"""A page of the console: parts that may change while it is looked at, and the frame around them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from interlock.report.markup import Content, Html, element, join

AREAS = (
    ("/", "Overview"),
    ("/models", "Models"),
    ("/endpoints", "Endpoints"),
    ("/rollouts", "Rollouts"),
    ("/runs", "Pipeline runs"),
    ("/schedules", "Schedules"),
    ("/history", "History"),
)
SYMBOL = "data:image/svg+xml," + "".join(
    (
        "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E",
        "%3Crect width='16' height='16' rx='3' fill='%230b62a4'/%3E",
        "%3Cpath d='M3 11h10M3 5h4l4 6' stroke='%23fff' stroke-width='2' fill='none'/%3E%3C/svg%3E",
    )
)


class Part(msgspec.Struct, frozen=True):
    """A piece with an id of its own, exchanged when its markup changes."""

    id: str
    html: Html


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """``trail``: (address, name) of the pages above it. A page that is not ``live`` asks for no updates.

    ``announcement``: one sentence that a screen reader says when it changes.
    """

    title: str
    parts: list[Part]
    trail: Sequence[tuple[str, str]] = ()
    announcement: str = ""
    live: bool = True
    status: int = 200

    def all_parts(self) -> list[Part]:
        """With the announcement, as a part like the others."""
        return [*self.parts, Part("announcement", element("span", self.announcement))]


def document(page: Page, path: str, where: str) -> str:
    """The whole document; ``path`` is its own address, ``where`` says which project or state folder is shown."""
    head = [
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        Html(f'<link rel="icon" href="{SYMBOL}">'),
        Html('<link rel="stylesheet" href="/static/style.css">'),
        Html('<script src="/static/console.js" defer></script>'),
        element("title", page.title if page.title == "Interlock" else f"{page.title} \N{EN DASH} Interlock"),
    ]
    live = {"data_live": path} if page.live else {}
    main = element(
        "main",
        _trail(page.trail),
        *(element("div", part.html, id=part.id, class_="part") for part in page.parts),
        id="main",
        tabindex="-1",
        **live,
    )
    announcement = element("span", page.announcement)
    body = element(
        "body",
        element("a", "Skip to content", href="#main", class_="skip"),
        _header(path, where, live=page.live),
        main,
        element("p", announcement, id="announcement", role="status", class_="unseen"),
    )
    return f"<!doctype html>\n{element('html', element('head', join(head)), body, lang='en')}\n"


def _header(path: str, where: str, *, live: bool) -> Html:
    items = []
    for address, name in AREAS:
        here = path == address or (address != "/" and path.startswith(address + "/"))
        items.append(element("li", element("a", name, href=address, **({"aria_current": "page"} if here else {}))))
    pause = element("button", "Pause", type="button", id="pause", aria_pressed="false", hidden="")
    state = element("span", element("span", "", id="live-state"), pause, class_="live") if live else ""
    brand = element("a", "Interlock", href="/", class_="brand")
    place = element("span", where, class_="where quiet")
    top = element("div", brand, place, state, class_="top")
    return element("header", top, element("nav", element("ul", join(items)), aria_label="Areas"), class_="bar")


def _trail(trail: Sequence[tuple[str, str]]) -> Content:
    if not trail:
        return ""
    items = (element("li", element("a", name, href=address)) for address, name in trail)
    return element("nav", element("ol", join(items)), aria_label="Breadcrumbs", class_="trail")


def link(address: str, content: Content) -> Html:
    """A link inside the console."""
    return element("a", content, href=address)


def heading(title: Content, *, kicker: str = "", beside: Content = "") -> Html:
    """The page's title, with a small line above it."""
    above = element("p", kicker, class_="kicker") if kicker else ""
    return element("div", above, element("h1", title, " ", beside), class_="heading")


def nothing(sentence: str, *more: Content) -> Html:
    """What to say where there is nothing yet."""
    return element("p", sentence, *more, class_="quiet empty")
