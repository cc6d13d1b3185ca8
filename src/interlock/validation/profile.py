"""What a version was trained on, as counts that its monitoring compares live rows with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from interlock.contracts import BinnedColumn
from interlock.validation.drift import LEAST_DAYS, number_bins, quantile_edges
from interlock.validation.spans import DAY_SECONDS, MOST_CATEGORIES

PIECES = 4 * LEAST_DAYS  # of equal size, where there are too few days to learn from
FEATURE_BINS, SCORE_BINS = 10, 20


class Pieces:
    """Rows cut by time: days where there are enough of them, else pieces of equal size. Rows are ordered by time."""

    def __init__(self, times: pa.ChunkedArray) -> None:
        self.hours = 24.0
        seconds = np.zeros(len(times), np.int64)
        if temporal := pa.types.is_temporal(times.type):
            seconds = np.asarray(times.cast(pa.timestamp("s"), safe=False).cast(pa.int64()))
        self.of_row = np.unique(seconds // DAY_SECONDS, return_inverse=True)[1]
        if not temporal or self.of_row.max(initial=0) + 1 < LEAST_DAYS:
            self.of_row = np.arange(len(times)) * PIECES // max(len(times), 1)
            spread = float(seconds[-1] - seconds[0]) if temporal and len(times) else 0.0
            self.hours = spread / 3600 / PIECES
        self.number = int(self.of_row.max(initial=0)) + 1

    def count(self, bins: npt.NDArray[np.int64], number: int) -> list[list[int]]:
        """Rows per piece and bin."""
        flat = self.of_row * number + bins
        counted: list[list[int]] = (
            np.bincount(flat, minlength=self.number * number).reshape(self.number, number).tolist()
        )
        return counted


def bin_number(name: str, values: npt.NDArray[Any], pieces: Pieces, bins: int = FEATURE_BINS) -> BinnedColumn:
    """Quantile bins of numbers (n,), NaN where missing."""
    # Models see single precision and requests carry double: without the step up, a value on an edge would change bins.
    edges = np.nextafter(quantile_edges(values, bins).astype(np.float32), np.float32(np.inf)).astype(np.float64)
    counted = pieces.count(number_bins(np.asarray(values, np.float64), edges), len(edges) + 2)
    return BinnedColumn(name=name, edges=edges.tolist(), pieces=counted)


def bin_text(name: str, column: pa.ChunkedArray, pieces: Pieces) -> BinnedColumn:
    """The most frequent texts; '' is missing."""
    text = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    counted = sorted(text.value_counts().to_pylist(), key=lambda each: (-each["counts"], str(each["values"])))
    values = [each["values"] for each in counted if each["values"] is not None][:MOST_CATEGORIES]
    found = np.asarray(pc.fill_null(pc.index_in(text, value_set=pa.array(values, pa.string())), len(values)))
    bins = np.where(np.asarray(pc.is_null(text)), len(values) + 1, found).astype(np.int64)
    return BinnedColumn(name=name, values=values, pieces=pieces.count(bins, len(values) + 2))


def bin_columns(rows: pa.Table, kinds: Mapping[str, str], pieces: Pieces) -> list[BinnedColumn]:
    """Every column of ``kinds`` (``number`` or ``category``), in order."""
    found = []
    for name, kind in kinds.items():
        column = rows.column(name)
        if kind == "number":
            values = np.asarray(pc.fill_null(column.cast(pa.float64()), float("nan")))
            found.append(bin_number(name, values, pieces))
        else:
            found.append(bin_text(name, column.cast(pa.string()), pieces))
    return found
