"""A dot per feature: how far it moved from the training rows, beside what chance allows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from interlock.contracts import MonitoringCheck
from interlock.report import pictures, wording
from interlock.report.markup import Html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN, LONGEST = 30, 28


def moved_picture(checks: Sequence[MonitoringCheck]) -> Html:
    """Of ``checks`` with a value, in bits; the furthest beyond their limit are on top, and only SHOWN are drawn."""
    shown = sorted(checks, key=_beyond, reverse=True)[:SHOWN][::-1]
    labels = [
        each.about if len(each.about) <= LONGEST else each.about[: LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"
        for each in shown
    ]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for y, each in enumerate(shown):
            colour = pictures.HARM if each.status == "alarm" else pictures.SOUND
            axes.plot([0, each.value or 0.0], [y, y], color=colour, linewidth=1.4)
            axes.plot([each.value or 0.0], [y], "o", markersize=5, color=colour, clip_on=False)
            if each.limit is not None:
                axes.plot([each.limit], [y], marker="|", markersize=10, markeredgewidth=1.6, color=pictures.INK)
        axes.set_yticks(range(len(shown)), labels)
        axes.set_ylim(-0.7, len(shown) - 0.3)
        axes.set_xlim(left=0)
        axes.set_xlabel("divergence from the training rows, bits")
        axes.grid(axis="x", color=pictures.RULE, linewidth=0.6, alpha=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)

    margins = pictures.Margins(left=0.2 + 0.072 * max(map(len, labels)), right=0.2, top=0.1, bottom=0.46)
    return pictures.draw("moved", _told(shown), (7.6, 0.7 + 0.23 * len(shown)), margins, paint)


def _beyond(check: MonitoringCheck) -> float:
    return (check.value or 0.0) / (check.limit or 1.0)


def _told(shown: Sequence[MonitoringCheck]) -> str:
    first = shown[-1]
    alarms = sum(each.status == "alarm" for each in shown)
    return (
        f"Divergence of {wording.plural(len(shown), 'feature')}: {alarms} beyond the limit; the furthest is "
        f"{first.about}, {wording.number(first.value)} bits where {wording.number(first.limit)} are allowed."
    )
