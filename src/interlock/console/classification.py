"""A ClassificationMetrics artifact of Kubeflow Pipelines as people read it: the ROC curve and the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from interlock.report import wording
from interlock.report.markup import Html, element, join, table

SIZE, LEFT, TOP = 200, 40, 8
CURVE, MATRIX = "confidenceMetrics", "confusionMatrix"


class _Point(msgspec.Struct, frozen=True, rename="camel"):
    false_positive_rate: float
    recall: float


class _Row(msgspec.Struct, frozen=True):
    row: list[float]


class _Label(msgspec.Struct, frozen=True, rename="camel"):
    display_name: str


class _Matrix(msgspec.Struct, frozen=True, rename="camel"):
    rows: list[_Row]
    annotation_specs: list[_Label]


def classification(metadata: Mapping[str, Any]) -> dict[str, Html]:
    """By key of the metadata, what can be drawn; a key of another shape, which any pipeline may write, is left out."""
    found = {}
    if points := _known(metadata.get(CURVE), list[_Point]):
        found[CURVE] = _curve(points)
    if (matrix := _known(metadata.get(MATRIX), _Matrix)) and _is_square(matrix):
        found[MATRIX] = _confusion(matrix)
    return found


def _known(value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


def _is_square(matrix: _Matrix) -> bool:
    size = len(matrix.annotation_specs)
    return size > 0 and [len(row.row) for row in matrix.rows] == [size] * size


def _curve(points: list[_Point]) -> Html:
    """False positive rate to the right, recall up, both from 0 to 1."""

    def at(x: float, y: float) -> str:
        return f"{LEFT + x * SIZE:.1f} {TOP + (1 - y) * SIZE:.1f}"

    ordered = sorted((point.false_positive_rate, point.recall) for point in points)
    path = "M" + "L".join(at(*point) for point in [(0.0, 0.0), *ordered, (1.0, 1.0)])
    ends = {"0": 0.0, "0.5": 0.5, "1": 1.0}
    grid = [
        element("path", d=f"M{at(0, share)}L{at(1, share)}M{at(share, 0)}L{at(share, 1)}", class_="grid")
        for share in ends.values()
    ]
    low = TOP + SIZE + 16
    ticks = [
        join(
            [
                element("text", word, x=str(LEFT - 6), y=f"{TOP + SIZE - along:g}", dy="0.32em", text_anchor="end"),
                element("text", word, x=f"{LEFT + along:g}", y=str(low), text_anchor="middle"),
            ]
        )
        for word, along in ((word, share * SIZE) for word, share in ends.items())
    ]
    middle = f"{TOP + SIZE / 2:g}"
    names = [
        element("text", "false positive rate", x=f"{LEFT + SIZE / 2:g}", y=str(low + 16), text_anchor="middle"),
        element("text", "recall", x="10", y=middle, text_anchor="middle", transform=f"rotate(-90 10 {middle})"),
    ]
    return element(
        "svg",
        *grid,
        element("path", d=f"M{at(0, 0)}L{at(1, 1)}", class_="chance"),
        element("path", d=path, class_="line candidate"),
        *ticks,
        *names,
        viewBox=f"0 0 {LEFT + SIZE + 12} {low + 22}",
        class_="lines roc",
        role="img",
        aria_label=f"ROC curve of {wording.plural(len(points), 'threshold')}",
    )


def _confusion(matrix: _Matrix) -> Html:
    names = [label.display_name for label in matrix.annotation_specs]
    rows = [
        (f"actually {name}", *(f"{value:,.0f}" for value in row.row))
        for name, row in zip(names, matrix.rows, strict=True)
    ]
    head = ("Label", *(f"predicted {name}" for name in names))
    return table("Confusion", head, rows, numbers=range(1, len(head)))
