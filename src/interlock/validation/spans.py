"""Two Parquet tables as counts per day and bin, for drift."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from interlock.errors import ConfigError
from interlock.validation.drift import FeatureCounts, number_bins, quantile_edges

MOST_CATEGORIES = 100
MOST_BLOCKS = 100  # where rows carry no date, their order is cut into this many "days"
DAY_SECONDS = 86400


def count_spans(
    reference: Path,
    current: Path,
    *,
    time: str,
    numbers: Sequence[str],
    categories: Sequence[str],
    current_time: str = "",
) -> list[FeatureCounts]:
    """Counts of both spans over bins fixed by ``reference``: its quantiles, or its most frequent values.

    ``current_time`` is for a current span whose time column has another name.
    """
    columns = pq.read_schema(reference).names
    unknown = [name for name in [*numbers, *categories] if name not in columns]
    if unknown:
        raise ConfigError(f"validation.drift.features: no column {', '.join(unknown)}; there are {', '.join(columns)}")
    found = []
    days = [_days(reference, time), _days(current, current_time or time)]
    for name in [*numbers, *categories]:
        column = pq.read_table(reference, columns=[name]).column(name)
        bins = NumberBins(column) if name in numbers else CategoryBins(column)
        first = _count(column, bins, days[0])
        second = _count(pq.read_table(current, columns=[name]).column(name), bins, days[1])
        found.append(FeatureCounts(feature=name, reference=first, current=second))
    return found


class NumberBins:
    """Deciles of a column, and one bin for nulls."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self.edges = quantile_edges(_floats(column))
        self.bins = len(self.edges) + 2

    def __call__(self, column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """Bin per row."""
        return number_bins(_floats(column), self.edges)


class CategoryBins:
    """The most frequent values of a column, one bin for all others, one for nulls."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        counted = sorted(column.cast(pa.string()).value_counts().to_pylist(), key=lambda each: -each["counts"])
        values = [each["values"] for each in counted if each["values"] is not None]
        self.values = pa.array(values[:MOST_CATEGORIES], pa.string())
        self.bins = len(self.values) + 2

    def __call__(self, column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """Bin per row."""
        text = column.cast(pa.string())
        found = pc.fill_null(pc.index_in(text, value_set=self.values), self.bins - 2)
        return np.where(np.asarray(pc.is_null(text)), self.bins - 1, np.asarray(found)).astype(np.int64)


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(pc.fill_null(column.cast(pa.float64()), float("nan")))


def _days(path: Path, time: str) -> npt.NDArray[np.int64]:
    """Day number per row, from 0 without gaps of days that have no row."""
    column = pq.read_table(path, columns=[time]).column(time)
    if pa.types.is_temporal(column.type):
        seconds = np.asarray(column.cast(pa.timestamp("s"), safe=False).cast(pa.int64()))
        return np.unique(seconds // DAY_SECONDS, return_inverse=True)[1]
    return np.arange(len(column)) * MOST_BLOCKS // max(len(column), 1)


def _count(column: pa.ChunkedArray, bins: Any, days: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    total = int(days.max()) + 1 if len(days) else 0
    flat = days * bins.bins + bins(column)
    return np.bincount(flat, minlength=total * bins.bins).reshape(total, bins.bins).astype(np.float64)
