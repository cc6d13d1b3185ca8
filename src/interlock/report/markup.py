"""HTML from values. ``Html`` is text that is already safe; every plain ``str`` is escaped on its way in."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


class Html(str):
    """Markup. Only the functions here make it."""

    __slots__ = ()


Content = str | Html


def text(content: Content) -> Html:
    """``content`` ready for a page."""
    return content if isinstance(content, Html) else Html(html.escape(content, quote=True))


def join(parts: Iterable[Content], separator: str = "\n") -> Html:
    """Several pieces after each other."""
    return Html(separator.join(text(part) for part in parts))


BREAK = Html("<br>")


def element(tag: str, *content: Content, **attributes: str) -> Html:
    """``<tag ...>content</tag>``. ``class_`` becomes ``class``, ``aria_label`` becomes ``aria-label``."""
    pairs = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(value, quote=True)}"'
        for name, value in attributes.items()
    )
    return Html(f"<{tag}{pairs}>{join(content, '')}</{tag}>")


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Content]], *, numbers: Sequence[int] = ()) -> Html:
    """A table that scrolls by itself on a narrow screen. The first column names the row.

    ``numbers``: indices of columns that line up on the right. ``caption`` is read to everybody.
    """
    header = join((element("th", name, scope="col", **_align(i in numbers)) for i, name in enumerate(head)), "")
    body = join(element("tr", _row(row, numbers)) for row in rows)
    inner = element(
        "table",
        element("caption", element("span", caption)),
        element("thead", element("tr", header)),
        element("tbody", body),
    )
    return element("div", inner, class_="scroll", role="group", aria_label=caption, tabindex="0")


def _row(cells: Sequence[Content], numbers: Sequence[int]) -> Html:
    first = element("th", cells[0], scope="row", **_align(0 in numbers))
    rest = (element("td", cell, **_align(i in numbers)) for i, cell in enumerate(cells[1:], start=1))
    return join([first, *rest], "")


def _align(right: bool) -> dict[str, str]:
    return {"class_": "number"} if right else {}


def figure(svg: Html, caption: Content) -> Html:
    """A picture with the words that go with it."""
    frame = element("div", svg, class_="scroll chart", role="group", aria_label="Picture", tabindex="0")
    return element("figure", frame, element("figcaption", caption))


def details(summary: str, *content: Content) -> Html:
    """Long material, closed until somebody wants it; printed open."""
    return element("details", element("summary", summary), *content)


def facts(pairs: Iterable[tuple[str, Content]]) -> Html:
    """Names and values, as a description list."""
    return element("dl", join(element("div", element("dt", k), element("dd", v)) for k, v in pairs))


_MARKS = {
    "good": "\N{CHECK MARK}",
    "bad": "\N{BALLOT X}",
    "open": "\N{WHITE CIRCLE}",
}


def mark(kind: str, word: str) -> Html:
    """A verdict as symbol, word and colour: none of them carries it alone. ``kind``: good, bad, open."""
    symbol = element("span", _MARKS[kind], aria_hidden="true")
    return element("span", symbol, " ", word, class_=f"mark {kind}")


def code(content: str) -> Html:
    """A digest, an id, an inequality."""
    return element("code", content)
