"""The evaluation in two pictures: AUC by slice, and the ROC curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interlock.contracts import Evaluation, GateReport, Measure
from interlock.report import pictures, wording
from interlock.report.markup import Html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 40
NOT_ENOUGH = "not enough data"


def slice_measures(evaluation: Evaluation, metric: str = "auc") -> list[Measure]:
    """Slices on which ``metric`` is known, column by column, best first."""
    found = [m for m in evaluation.measures if m.metric == metric and m.slice and m.value is not None]
    return sorted(found, key=lambda m: (m.slice.partition("=")[0], -(m.value or 0.0), m.slice))


def slices_picture(evaluation: Evaluation, gates: GateReport, name: str) -> Html:
    """A dot with its 95 % interval per slice, the gate's limit as a tick, all rows as a line."""
    measures = slice_measures(evaluation)
    if len(measures) > SHOWN:
        measures = sorted(sorted(measures, key=lambda m: m.value or 0.0)[:SHOWN], key=lambda m: m.slice)
    limits = {r.slice: r.limit for r in gates.rules if r.rule == "auc" and r.limit is not None}
    unjudged = {r.slice for r in gates.rules if r.rule == "auc" and r.verdict == NOT_ENOUGH}
    overall = next((m.value for m in evaluation.measures if m.metric == "auc" and not m.slice), None)
    rows = list(reversed(measures))

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        if overall is not None:
            axes.axvline(overall, color=pictures.MUTED, linewidth=1, linestyle=(0, (1, 2)))
            axes.annotate(
                f"all rows {overall:.3f}",
                (overall, 1.0),
                xycoords=axes.get_xaxis_transform(),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                color=pictures.MUTED,
                fontsize=8.5,
            )
        for y, measure in enumerate(rows):
            if measure.low is not None and measure.high is not None:
                axes.plot([measure.low, measure.high], [y, y], color=pictures.CANDIDATE, linewidth=1.4)
            face = pictures.PAPER if measure.slice in unjudged else pictures.CANDIDATE
            dot: dict[str, Any] = {"color": pictures.CANDIDATE, "markerfacecolor": face}
            axes.plot([measure.value or 0.0], [y], "o", markersize=5, **dot)
            if (limit := limits.get(measure.slice)) is not None:
                axes.plot([limit], [y], marker="|", markersize=10, markeredgewidth=1.6, color=pictures.HARM)
        axes.set_yticks(range(len(rows)), [_label(m.slice) for m in rows])
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.set_xlabel("AUC")
        axes.grid(axis="x", color=pictures.RULE, linewidth=0.6, alpha=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)

    longest = max(len(_label(m.slice)) for m in rows)
    margins = pictures.Margins(left=0.2 + 0.072 * longest, right=0.2, top=0.3, bottom=0.46)
    return pictures.draw(name, describe_slices(measures), (7.6, 0.8 + 0.205 * len(rows)), margins, paint)


def _label(text: str) -> str:
    return text if len(text) <= 28 else text[:27] + "\N{HORIZONTAL ELLIPSIS}"


def describe_slices(measures: list[Measure]) -> str:
    """The picture in words."""
    ordered = sorted(measures, key=lambda m: m.value or 0.0)
    low, high = ordered[0], ordered[-1]
    return (
        f"AUC on {len(measures)} slices: lowest {wording.number(low.value, 3)} on {low.slice} "
        f"({wording.count(low.n)} rows), highest {wording.number(high.value, 3)} on {high.slice} "
        f"({wording.count(high.n)} rows)."
    )


def operating_point(confusion: list[list[int]]) -> tuple[float, float]:
    """False and true positive rate at the threshold; 0 where a class is empty."""
    (true_negative, false_positive), (false_negative, true_positive) = confusion
    negatives, positives = true_negative + false_positive, false_negative + true_positive
    return (
        false_positive / negatives if negatives else 0.0,
        true_positive / positives if positives else 0.0,
    )


def roc_picture(evaluation: Evaluation, name: str) -> Html:
    """The curve, chance as a diagonal, and the point at which the model works."""
    x = [0.0, *(point[1] for point in evaluation.roc), 1.0]
    y = [0.0, *(point[2] for point in evaluation.roc), 1.0]
    at = operating_point(evaluation.confusion)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=pictures.MUTED, linewidth=1, linestyle=(0, (1, 2)))
        axes.plot(x, y, color=pictures.CANDIDATE)
        axes.plot([at[0]], [at[1]], marker="o", markersize=7, color=pictures.HARM, markeredgecolor=pictures.PAPER)
        axes.annotate(
            f"threshold {evaluation.threshold:.3g}",
            at,
            xytext=(9, -10),
            textcoords="offset points",
            fontsize=8.5,
            color=pictures.INK,
        )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_aspect("equal")
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        axes.grid(color=pictures.RULE, linewidth=0.6, alpha=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)

    description = (
        f"ROC curve on {wording.count(evaluation.rows)} rows. At threshold {evaluation.threshold:.3g} the "
        f"false positive rate is {at[0]:.3f} and the true positive rate {at[1]:.3f}."
    )
    margins = pictures.Margins(left=0.55, right=0.2, top=0.15, bottom=0.46)
    return pictures.draw(name, description, (3.8, 3.6), margins, paint)
