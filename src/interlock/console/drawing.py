"""Small pictures, written by hand because they change every second: a pipeline's graph, and lines over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec

from interlock.console.dag import Node, ranks
from interlock.report import wording
from interlock.report.markup import Content, Html, element, join

BOX_WIDTH, BOX_HEIGHT, GAP, ROW = 216, 44, 20, 76
LONGEST_GAP = 1.5  # seconds between neighbours of a line
LINE_WIDTH, LINE_HEIGHT, LEFT, BOTTOM = 460, 140, 48, 22


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """How a task is shown. ``kind``: good, bad, open (runs) or idle (not started); ``link`` '' for none."""

    kind: str
    word: str
    link: str = ""


_SIGNS = {"good": "\N{CHECK MARK}", "bad": "\N{BALLOT X}", "open": "\N{BLACK RIGHT-POINTING SMALL TRIANGLE}"}


def graph_picture(nodes: list[Node], boxes: Mapping[str, Box]) -> Html:
    """Tasks from top to bottom, each a link; a list for a screen reader, since each link says task and state."""
    if not nodes:
        return element("p", "This job came without a pipeline.", class_="quiet")
    places, width, height = _layout(nodes)
    edges = [
        _edge(places[name], places[node.name], idle="idle" in (boxes[name].kind, boxes[node.name].kind))
        for node in nodes
        for name in node.after
    ]
    drawn = [_box(node, boxes[node.name], *places[node.name]) for node in nodes]
    return element(
        "svg",
        *edges,
        *drawn,
        viewBox=f"0 0 {width} {height}",
        width=str(width),
        height=str(height),
        class_="graph",
        role="group",
        aria_label=f"Graph of {wording.plural(len(nodes), 'task')}",
    )


def _layout(nodes: list[Node]) -> tuple[dict[str, tuple[float, float]], int, int]:
    """Top left corners. A task stands below the middle of what it waits for; where several would, they spread."""
    rank, rows = ranks(nodes), dict[int, list[Node]]()
    for node in nodes:
        rows.setdefault(rank[node.name], []).append(node)
    middle: dict[str, float] = {}
    for _, row in sorted(rows.items()):
        wanted = {n.name: sum(middle[name] for name in n.after) / len(n.after) if n.after else 0.0 for n in row}
        middle |= _spread(wanted)
    left, right = min(middle.values()), max(middle.values())
    places = {n.name: (2 + middle[n.name] - left, 2.0 + rank[n.name] * ROW) for n in nodes}
    return places, round(right - left) + BOX_WIDTH + 4, max(rows) * ROW + BOX_HEIGHT + 4


def _spread(wanted: Mapping[str, float]) -> dict[str, float]:
    """Places as near to the wanted ones as boxes allow: groups that would overlap stand around their mean."""
    groups: list[list[str]] = []
    for name in sorted(wanted, key=lambda name: wanted[name]):
        groups.append([name])
        while len(groups) > 1 and _overlap(groups[-2], groups[-1], wanted):
            last = groups.pop()
            groups[-1] += last
    return {
        name: _mean(group, wanted) + (k - (len(group) - 1) / 2) * (BOX_WIDTH + GAP)
        for group in groups
        for k, name in enumerate(group)
    }


def _mean(group: Sequence[str], wanted: Mapping[str, float]) -> float:
    return sum(wanted[name] for name in group) / len(group)


def _overlap(left: Sequence[str], right: Sequence[str], wanted: Mapping[str, float]) -> bool:
    room = (len(left) + len(right)) / 2 * (BOX_WIDTH + GAP)
    return _mean(right, wanted) - _mean(left, wanted) < room


def _edge(above: tuple[float, float], below: tuple[float, float], *, idle: bool) -> Html:
    """Straight down as far as it can, then to the side."""
    x1, y1 = above[0] + BOX_WIDTH / 2, above[1] + BOX_HEIGHT
    x2, y2 = below[0] + BOX_WIDTH / 2, below[1]
    bend = ROW - BOX_HEIGHT
    path = f"M{x1:g} {y1:g}V{y2 - bend:g}C{x1:g} {y2 - bend / 2:g} {x2:g} {y2 - bend / 2:g} {x2:g} {y2:g}"
    return element("path", d=path, class_="edge idle" if idle else "edge", aria_hidden="true")


def _box(node: Node, box: Box, x: float, y: float) -> Html:
    said = f"{node.title}: {box.word}"
    whole = element("title", said) if _cut(node.title) != node.title else ""
    shape = element("rect", x=f"{x:g}", y=f"{y:g}", width=str(BOX_WIDTH), height=str(BOX_HEIGHT), rx="6")
    sign = _SIGNS.get(box.kind, "")
    drawn = element("text", sign, x=f"{x + 12:g}", y=f"{y + 27:g}", class_="sign", aria_hidden="true") if sign else ""
    title = element("text", _cut(node.title), x=f"{x + 30:g}", y=f"{y + 19:g}", class_="title")
    word = element("text", box.word, x=f"{x + 30:g}", y=f"{y + 34:g}", class_="word")
    body = element("g", whole, shape, drawn, title, word, class_=f"task {box.kind}")
    return element("a", body, href=box.link) if box.link else element("g", body, role="img", aria_label=said)


def _cut(text: str) -> str:
    return text if len(text) <= 25 else text[:24] + "\N{HORIZONTAL ELLIPSIS}"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line: ``style`` candidate or champion, and its points as (seconds, value), oldest first."""

    name: str
    style: str
    points: list[tuple[float, float]]


def lines_picture(title: str, unit: str, lines: Sequence[Line], since: float, until: float) -> Html:
    """Lines over the last seconds, from zero up; ``unit`` stands behind numbers."""
    values = [value for line in lines for _, value in line.points]
    top = nice_top(max(values, default=0.0))
    span = max(until - since, 1e-9)
    right, base = LINE_WIDTH - 8, LINE_HEIGHT - BOTTOM

    def at(second: float, value: float) -> str:
        x = LEFT + (second - since) / span * (right - LEFT)
        return f"{x:.1f} {base - value / top * (base - 10):.1f}"

    parts: list[Content] = []
    for share in (0.0, 0.5, 1.0):
        y = f"{base - share * (base - 10):.1f}"
        parts.append(element("line", x1=str(LEFT), x2=str(right), y1=y, y2=y, class_="grid"))
        parts.append(element("text", f"{top * share:,.4g}", x=str(LEFT - 6), y=y, dy="0.32em", text_anchor="end"))
    parts.append(element("text", f"{span:.0f} s ago", x=str(LEFT), y=str(LINE_HEIGHT - 5)))
    parts.append(element("text", "now", x=str(right), y=str(LINE_HEIGHT - 5), text_anchor="end"))
    for line in lines:
        if line.points:
            parts.append(element("path", d=_strokes(line.points, at), class_=f"line {line.style}"))
    said = "; ".join(f"{line.name} {line.points[-1][1]:,.4g} {unit}" for line in lines if line.points) or "no traffic"
    picture = element(
        "svg",
        *parts,
        viewBox=f"0 0 {LINE_WIDTH} {LINE_HEIGHT}",
        class_="lines",
        role="img",
        aria_label=f"{title}, newest values: {said}",
    )
    return element("figure", element("figcaption", f"{title} ({unit})", class_="over"), picture, class_="live-lines")


def _strokes(points: Sequence[tuple[float, float]], at: Callable[[float, float], str]) -> str:
    """One stroke per stretch of seconds without a gap: over a gap nothing is known. A second alone is a dot."""
    path, before = "", -math.inf
    for second, value in points:
        path += f"L{at(second, value)}" if second - before <= LONGEST_GAP else f"M{at(second, value)}h0"
        before = second
    return path


def nice_top(value: float) -> float:
    """The next round number whose half is round too: 1, 1.2, 2, 3, 4, 5, 6, 8 times a power of ten; 1 for nothing."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        round(step * power, 12) for step in (1, 1.2, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * (1 - 1e-9)
    )


def share_bar(shares: Sequence[tuple[str, int, str]]) -> Html:
    """Traffic as one bar: (version, percent, style), those at 0 % left out."""
    known = [share for share in shares if share[1] > 0]
    if not known:
        return element("p", "No version gets traffic.", class_="quiet")
    x, parts = 0, []
    for _, percent, style in known:
        parts.append(element("rect", x=str(x), y="0", width=str(percent), height="10", class_=style))
        x += percent
    said = ", ".join(f"version {version} {percent} %" for version, percent, _ in known)
    bar = element(
        "svg",
        join(parts),
        viewBox="0 0 100 10",
        preserveAspectRatio="none",
        class_="share",
        role="img",
        aria_label=f"Traffic: {said}",
    )
    legend = (
        element("li", element("span", "", class_=f"key {style}"), f"version {version}: {percent} %")
        for version, percent, style in known
    )
    return join([bar, element("ul", join(legend), class_="legend")])
