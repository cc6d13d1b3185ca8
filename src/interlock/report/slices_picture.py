"""A dot with its 95 % interval per slice, beside a line: how good on each, or how much better than the champion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from interlock.contracts import Comparison, GateReport, Measure, RuleResult
from interlock.report import pictures, wording
from interlock.report.markup import Html

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 40
NOT_ENOUGH = "not enough data"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One slice. ``limit`` is drawn as an upright tick; ``hollow`` where there is too little to judge."""

    label: str
    n: int
    value: float
    low: float | None
    high: float | None
    limit: float | None = None
    hollow: bool = False


def measured_rows(measures: Sequence[Measure], gates: GateReport, metric: str) -> list[Row]:
    """``metric`` on every slice that carries it, column by column, best first."""
    rules = _rules(gates, "metrics", metric)
    found = [
        _row(m.slice, m.n, (m.value, m.low, m.high), rules.get(m.slice))
        for m in measures
        if m.metric == metric and m.slice and m.value is not None
    ]
    return _ordered(found)


def compared_rows(comparisons: Sequence[Comparison], gates: GateReport, metric: str) -> list[Row]:
    """Candidate minus champion in ``metric`` on every slice that carries it."""
    rules = _rules(gates, "regression", metric)
    found = [
        _row(c.slice, c.n, (c.difference, c.low, c.high), rules.get(c.slice))
        for c in comparisons
        if c.metric == metric and c.slice and c.difference is not None
    ]
    return _ordered(found)


def _rules(gates: GateReport, gate: str, metric: str) -> dict[str, RuleResult]:
    return {rule.slice: rule for rule in gates.rules if rule.gate == gate and rule.rule == metric}


def _row(label: str, n: int, interval: tuple[float, float | None, float | None], rule: RuleResult | None) -> Row:
    (value, low, high), hollow = interval, rule is not None and rule.verdict == NOT_ENOUGH
    return Row(label=label, n=n, value=value, low=low, high=high, limit=rule.limit if rule else None, hollow=hollow)


def _ordered(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.label.partition("=")[0], -row.value, row.label))


def slices_picture(
    rows: Sequence[Row], name: str, unit: str, line: tuple[float, str] | None, *, lower_is_better: bool
) -> Html:
    """``unit`` names the axis; ``line`` is a value to compare with, and its name. Of many slices the worst show."""
    shown = list(rows)
    if len(shown) > SHOWN:
        shown = _ordered(sorted(shown, key=lambda row: row.value, reverse=lower_is_better)[:SHOWN])
    shown.reverse()

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        if line is not None:
            _line(axes, *line)
        for y, row in enumerate(shown):
            _dot(axes, y, row)
        axes.set_yticks(range(len(shown)), [_label(row.label) for row in shown])
        axes.set_ylim(-0.7, len(shown) - 0.3)
        axes.set_xlabel(unit)
        axes.grid(axis="x", color=pictures.RULE, linewidth=0.6, alpha=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)

    longest = max(len(_label(row.label)) for row in shown)
    margins = pictures.Margins(left=0.2 + 0.072 * longest, right=0.2, top=0.3, bottom=0.46)
    return pictures.draw(name, describe(rows, unit), (7.6, 0.8 + 0.205 * len(shown)), margins, paint)


def _line(axes: Axes, value: float, name: str) -> None:
    axes.axvline(value, color=pictures.MUTED, linewidth=1, linestyle=(0, (1, 2)))
    axes.annotate(
        name,
        (value, 1.0),
        xycoords=axes.get_xaxis_transform(),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
        color=pictures.MUTED,
        fontsize=8.5,
    )


def _dot(axes: Axes, y: int, row: Row) -> None:
    if row.low is not None and row.high is not None:
        axes.plot([row.low, row.high], [y, y], color=pictures.CANDIDATE, linewidth=1.4)
    look: dict[str, Any] = {"markerfacecolor": pictures.PAPER if row.hollow else pictures.CANDIDATE}
    axes.plot([row.value], [y], "o", markersize=5, color=pictures.CANDIDATE, **look)
    if row.limit is not None:
        axes.plot([row.limit], [y], marker="|", markersize=10, markeredgewidth=1.6, color=pictures.HARM)


def _label(text: str) -> str:
    return text if len(text) <= 28 else text[:27] + "\N{HORIZONTAL ELLIPSIS}"


def describe(rows: Sequence[Row], unit: str) -> str:
    """The picture in words."""
    ordered = sorted(rows, key=lambda row: row.value)
    low, high = ordered[0], ordered[-1]
    return (
        f"{unit} on {wording.plural(len(rows), 'slice')}: lowest {wording.number(low.value, 3)} on {low.label} "
        f"({wording.plural(low.n, 'row')}), highest {wording.number(high.value, 3)} on {high.label} "
        f"({wording.plural(high.n, 'row')})."
    )
