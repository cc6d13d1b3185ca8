"""What a batch must be before it is copied. Each refusal names file, row from 1, column and the next step."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from interlock.errors import InputError

MOST_COLUMNS = 2000
LONGEST_CELL = 1 << 20  # bytes


def require_sound(name: str, batch: pa.RecordBatch, needed: Sequence[str], time: str | None, *, first_row: int) -> None:
    """Refuse missing or repeated columns, too many of them, times that are none or null, and cells too long."""
    _columns(name, batch.schema, needed)
    if time:
        _time(name, batch, time, first_row)
    for column, array in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_string(array.type) or pa.types.is_large_string(array.type) or pa.types.is_binary(array.type):
            lengths = pc.binary_length(array)
            longest = pc.max(lengths).as_py() or 0
            if longest > LONGEST_CELL:
                row = first_row + pc.index(lengths, pa.scalar(longest, lengths.type)).as_py() + 1
                raise InputError(
                    f"{name}: row {row}, column {column}: {longest} bytes in one cell > {LONGEST_CELL} allowed; "
                    "leave the column out with source.columns"
                )


def _columns(name: str, schema: pa.Schema, needed: Sequence[str]) -> None:
    repeated = sorted({column for column in schema.names if schema.names.count(column) > 1}) if len(
        set(schema.names)
    ) < len(schema.names) else []  # fmt: skip
    if repeated:
        raise InputError(f"{name}: column {', '.join(repeated)[:300]} appears twice; rename one of them")
    if len(schema.names) > MOST_COLUMNS:
        raise InputError(
            f"{name}: {len(schema.names)} columns > {MOST_COLUMNS} allowed; name the ones you need in source.columns"
        )
    missing = [column for column in needed if column not in schema.names]
    if missing:
        hint = "; set source.csv.delimiter" if len(schema.names) == 1 else ""
        raise InputError(f"{name}: no column {', '.join(missing)}; it has {', '.join(schema.names)[:300]}{hint}")


def _time(name: str, batch: pa.RecordBatch, time: str, first_row: int) -> None:
    array = batch.column(batch.schema.get_field_index(time))
    kind = array.type
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_integer(kind)):
        how = "; how text is read as times, source.csv.times says (%d/%m/%Y)" if pa.types.is_string(kind) else ""
        raise InputError(f"{name}: time column {time} is {kind}; give ISO times, dates or whole numbers{how}")
    if array.null_count:
        row = first_row + pc.index(pc.is_null(array), pa.scalar(True)).as_py() + 1
        raise InputError(
            f"{name}: row {row}, column {time}: null, {array.null_count} in this part; a row without a time cannot be "
            "split: mend the source"
        )
