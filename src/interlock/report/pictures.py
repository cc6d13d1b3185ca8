"""Figures as inline SVG: text stays text, colours follow the page, equal input gives equal bytes."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from interlock.report.markup import Html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Stand-ins that no palette contains: the finished SVG names a variable of the style sheet instead, which is
# light or dark with the page.
INK, MUTED, RULE, PAPER = "#010101", "#010102", "#010103", "#010104"
CANDIDATE, CHAMPION, HARM, SOUND = "#010105", "#010106", "#010107", "#010108"
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    PAPER: "paper",
    CANDIDATE: "candidate",
    CHAMPION: "champion",
    HARM: "harm",
    SOUND: "sound",
}

_DIGITS = re.compile(r"(\.\d\d)\d+")  # a hundredth of a point is finer than any screen

_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "interlock",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "hatch.linewidth": 0.6,
}


class Margins(NamedTuple):
    """Inches around the axes, given and not solved for: a layout solver does not give equal bytes."""

    left: float
    right: float
    top: float
    bottom: float


def draw(
    name: str,
    description: str,
    size: tuple[float, float],
    margins: Margins,
    paint: Callable[[Figure], None],
) -> Html:
    """Let ``paint`` fill a figure of ``size`` (width, height) in inches; returns ``<svg role="img">``.

    ``name`` must be unique on the page: it begins every id. ``description`` is what a screen reader says.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    width, height = size
    with rc_context(_SETTINGS):
        figure = Figure(figsize=(width, height))
        figure.patch.set_alpha(0)
        FigureCanvasSVG(figure)
        figure.subplots_adjust(
            left=margins.left / width,
            right=1 - margins.right / width,
            top=1 - margins.top / height,
            bottom=margins.bottom / height,
        )
        paint(figure)
        for axes in figure.axes:
            axes.patch.set_alpha(0)
        buffer = io.StringIO()
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=metadata)
    return _inline(buffer.getvalue(), name, description)


def _inline(svg: str, name: str, description: str) -> Html:
    """The ``<svg>`` element alone, without name spaces, metadata, style sheet and fixed size."""
    body = svg[svg.index("<svg") :]
    box = re.search(r'viewBox="([^"]+)"', body)
    assert box is not None
    body = body[body.index(">") + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"<[^>]+>", lambda tag: _DIGITS.sub(r"\1", tag.group()), body)
    body = body.replace("xlink:href=", "href=")
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(href="|url\()#', rf"\1#{name}-", body)
    body = re.sub(r"(font(?:-family)?: [^;\"]*?)'[^;\"]*", r"\1var(--font)", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var(--{variable})")
    label = html.escape(description, quote=True)
    return Html(f'<svg viewBox="{box.group(1)}" role="img" aria-label="{label}">{body.strip()}')
