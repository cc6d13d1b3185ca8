"""Which rows break a rule, so that a person can look at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MOST_ROWS = 10
LONGEST_TEXT = 200

Broken = Callable[[pa.Array], pa.Array]  # a column -> true where the row breaks the rule


def offending_rows(table: Path, key: Sequence[str], feature: str, broken: Broken) -> list[dict[str, str]]:
    """The first ten rows of ``table`` where ``broken`` holds: row number from 0, key columns, the feature."""
    found: list[dict[str, str]] = []
    start = 0
    with pq.ParquetFile(table) as file:
        names = [*dict.fromkeys([*(name for name in key if name in file.schema_arrow.names), feature])]
        for batch in file.iter_batches(columns=names):
            mask = pc.fill_null(broken(batch.column(batch.schema.get_field_index(feature))), False)
            for at in pc.indices_nonzero(mask).to_pylist():
                values = {name: _text(batch.column(batch.schema.get_field_index(name))[at]) for name in names}
                found.append({"row": str(start + at), **values})
                if len(found) == MOST_ROWS:
                    return found
            start += batch.num_rows
    return found


def outside(low: float | None, high: float | None) -> Broken:
    """Below ``low`` or above ``high``."""

    def broken(column: pa.Array) -> pa.Array:
        mask = pa.array([False] * len(column))
        if low is not None:
            mask = pc.or_kleene(mask, pc.less(column, low))
        if high is not None:
            mask = pc.or_kleene(mask, pc.greater(column, high))
        return mask

    return broken


def not_among(values: Sequence[str]) -> Broken:
    """A value that is not in the list."""

    def broken(column: pa.Array) -> pa.Array:
        known = pc.is_in(column.cast(pa.string()), value_set=pa.array(list(values), pa.string()))
        return pc.and_(pc.is_valid(column), pc.invert(known))

    return broken


def missing(column: pa.Array) -> pa.Array:
    """No value."""
    return column.is_null()


def infinite(column: pa.Array) -> pa.Array:
    """Plus or minus infinity."""
    return pc.is_inf(column)


def not_a_number(column: pa.Array) -> pa.Array:
    """NaN."""
    return pc.is_nan(column)


def _text(value: pa.Scalar) -> str:
    shown = str(value.as_py())
    return shown if len(shown) <= LONGEST_TEXT else f"{shown[:LONGEST_TEXT]}… ({len(shown)} characters)"
