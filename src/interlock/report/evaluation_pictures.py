"""The evaluation in two pictures: the ROC curve of a binary model, and calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interlock.contracts import Evaluation, Task
from interlock.report import pictures, wording
from interlock.report.markup import Html

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (3.8, 3.6)
# What a model said, and what happened: the axes of its calibration.
CALIBRATED: dict[Task, tuple[str, str]] = {
    "binary": ("mean score", "share of label 1"),
    "multiclass": ("mean score of the likeliest class", "share that were right"),
    "regression": ("mean answer", "mean label"),
}
MARGINS = pictures.Margins(left=0.55, right=0.2, top=0.15, bottom=0.46)


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
        _square(axes, "false positive rate", "true positive rate")

    description = (
        f"ROC curve on {wording.plural(evaluation.rows, 'row')}. At threshold {evaluation.threshold:.3g} the "
        f"false positive rate is {at[0]:.3f} and the true positive rate {at[1]:.3f}."
    )
    return pictures.draw(name, description, SIZE, MARGINS, paint)


def calibration_picture(evaluation: Evaluation, name: str) -> Html:
    """What the model said against what happened, per tenth of the rows; the diagonal is a model that means it."""
    points = sorted(evaluation.calibration)
    said, happened = [point[0] for point in points], [point[1] for point in points]
    low, high = 0.0, 1.0
    if evaluation.task == "regression":
        low, high = min(*said, *happened), max(*said, *happened)
        room = 0.04 * (high - low or 1.0)
        low, high = low - room, high + room

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([low, high], [low, high], color=pictures.MUTED, linewidth=1, linestyle=(0, (1, 2)))
        look: dict[str, Any] = {
            "marker": "o",
            "markersize": 5,
            "markeredgecolor": pictures.PAPER,
            "color": pictures.CANDIDATE,
        }
        axes.plot(said, happened, linewidth=1.2, clip_on=False, **look)
        axes.set_xlim(low, high)
        axes.set_ylim(low, high + 0.02 * (high - low))
        _square(axes, *CALIBRATED[evaluation.task])

    return pictures.draw(name, describe_calibration(evaluation), SIZE, MARGINS, paint)


def describe_calibration(evaluation: Evaluation) -> str:
    """The picture in words: where it is furthest from the diagonal."""
    said, happened, rows = max(evaluation.calibration, key=lambda point: abs(point[0] - point[1]))
    x, y = CALIBRATED[evaluation.task]
    return (
        f"Calibration in {len(evaluation.calibration)} groups of rows. Furthest off: {x} {said:.3f}, {y} "
        f"{happened:.3f}, {wording.plural(round(rows), 'row')}."
    )


def _square(axes: Axes, x: str, y: str) -> None:
    axes.set_aspect("equal")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color=pictures.RULE, linewidth=0.6, alpha=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
