"""CSV as Arrow batches, and where in the file it went wrong."""

from __future__ import annotations

import csv as plain_csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import IO

import pyarrow as pa
from pyarrow import csv

from interlock.config import Csv
from interlock.errors import InputError

BLOCK_BYTES = 16 << 20
DELIMITERS = [",", ";", "\t", "|"]
NULLS = ["", "NA", "NaN", "nan", "null", "NULL"]
TYPES = {
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "bool": pa.bool_(),
    "time": pa.timestamp("us"),
}

PLAIN = Csv()

Open = Callable[[], AbstractContextManager[IO[bytes]]]


def read_csv(
    name: str,
    open_stream: Open,
    *,
    dialect: Csv = PLAIN,
    types: Mapping[str, str] | None = None,
    columns: list[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Stream a CSV. ``name`` is for messages; ``open_stream`` may be called again to find the place of an error."""
    delimiter = dialect.delimiter or _delimiter(open_stream)
    options = csv.ConvertOptions(
        null_values=[*NULLS, *dialect.nulls],
        strings_can_be_null=True,
        column_types={column: TYPES[kind] for column, kind in (types or {}).items()},
        include_columns=columns,
        decimal_point=dialect.decimal,
        timestamp_parsers=[csv.ISO8601, *filter(None, [dialect.times])],
    )
    try:
        with open_stream() as stream:
            reader = csv.open_csv(
                stream,
                read_options=csv.ReadOptions(block_size=BLOCK_BYTES),
                parse_options=csv.ParseOptions(delimiter=delimiter),
                convert_options=options,
            )
            for field in reader.schema:
                if pa.types.is_binary(field.type):
                    raise InputError(_invalid_text(name, open_stream, field.name, delimiter))
            yield from reader
    except KeyError as error:
        raise InputError(f"{name}: no column {error}; correct source.columns") from error
    except pa.ArrowKeyError as error:
        raise InputError(f"{name}: {_line(error)}; correct source.columns") from error
    except pa.ArrowInvalid as error:
        raise InputError(_explain(name, open_stream, _line(error), delimiter)) from error


def _delimiter(open_stream: Open) -> str:
    """The one that cuts the header into most columns; a comma when several do."""
    try:
        return max(DELIMITERS, key=lambda each: len(_header(open_stream, each)))
    except plain_csv.Error:  # no header that can be read: the reader says what is wrong
        return DELIMITERS[0]


def _explain(name: str, open_stream: Open, message: str, delimiter: str) -> str:
    if "straddling" in message:
        return f"{name}: a row is longer than {BLOCK_BYTES >> 20} MB; is a quote left open, or does a cell hold a file?"
    found = re.match(r"In CSV column #(\d+): CSV conversion error to ([^:]+): (.*)", message)
    if found is None:
        hint = "; every row needs as many values as the header" if "Expected" in message else ""
        return f"{name}: not a CSV: {message}{hint}"
    header = _header(open_stream, delimiter)
    column = header[int(found[1])] if int(found[1]) < len(header) else f"#{found[1]}"
    if "UTF8" in found[3] or "UTF-8" in found[3]:
        return _invalid_text(name, open_stream, column, delimiter)
    value = re.search(r"invalid value '(.*)'", found[3])
    row = _row_of(open_stream, int(found[1]), value[1], delimiter) if value else None
    where = f"row {row}, " if row is not None else ""
    shown = f"{value[1]!r} is not {found[2]}" if value else found[3]
    hint = (
        "set source.csv.times to how they are written, for instance %d/%m/%Y"
        if "timestamp" in found[2]
        else (f"name it in source.csv.nulls if it means missing, or set source.types: {{{column}: string}}")
    )
    return f"{name}: {where}column {column}: {shown}; mend the value, {hint}"


def _invalid_text(name: str, open_stream: Open, column: str, delimiter: str) -> str:
    with open_stream() as stream:
        for number, line in enumerate(stream):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                where = f"line {number + 1}, byte {error.start}"
                return f"{name}: {where}, column {column}: not UTF-8; save the file as UTF-8"
    return f"{name}: column {column} is not UTF-8; save the file as UTF-8"


def _header(open_stream: Open, delimiter: str) -> list[str]:
    with open_stream() as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
        return next(plain_csv.reader(text, delimiter=delimiter), [])


def _row_of(open_stream: Open, column: int, value: str, delimiter: str) -> int | None:
    """First data row, from 1, that holds ``value``."""
    with open_stream() as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
        for number, row in enumerate(plain_csv.reader(text, delimiter=delimiter)):
            if number and column < len(row) and row[column].strip() == value.strip():
                return number
    return None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
