"""What a table that nobody has described yet seems to hold: how it is written, and what each column could be.

Guesses from the first rows, for a person to correct; nothing but ``interlock init`` asks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from interlock.config import Csv, Source
from interlock.config.section import NAME
from interlock.errors import InputError
from interlock.ingestion.main_table import open_main

ROWS = 100_000
MISSING = ["-", "--", "?", ".", "N/A", "n/a", "#N/A", "None", "none"]
TIMES = [
    f"{day}{time}" for day in ("%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m/%d/%Y", "%Y/%m/%d", "%Y%m%d")
    for time in ("", " %H:%M", " %H:%M:%S")
]  # fmt: skip
NUMBER = re.compile(r"-?\d+(\.\d+)?")
DECIMAL_COMMA = re.compile(r"-?\d+(,\d+)?")
THOUSANDS = {
    re.compile(r"-?\d{1,3}(,\d{3})*(\.\d+)?"): "CAST(replace({}, ',', '') AS DOUBLE)",
    re.compile(r"-?\d{1,3}(\.\d{3})*(,\d+)?"): "CAST(replace(replace({}, '.', ''), ',', '.') AS DOUBLE)",
}
MOST_VALUES = 50  # of a category, and of a label with classes
GIVES_AWAY = 0.99  # a column that orders the rows as the label does, alone


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """The source as it should be read, the first rows as it reads them, and numbers that are written as text."""

    source: Source
    rows: pd.DataFrame
    derived: dict[str, str]


def look(table: str, base: Path) -> Look:
    """Read the first rows twice: as they are, then as they seem to be meant."""
    source = Source(table=table, time="row", key=["row"])
    raw = _first_rows(source, base)
    text = {str(name): raw[name].dropna() for name in raw if isinstance(raw[name].dtype, pd.StringDtype)}
    is_csv = ".csv" in table.lower() or table.lower().endswith(".tsv")
    csv = _csv(list(text.values())) if is_csv else Csv()
    source = msgspec.structs.replace(source, rename=_plain_names([str(name) for name in raw]), csv=csv)
    rows = _first_rows(source, base)
    return Look(source=source, rows=rows, derived=_written_numbers(rows))


def gives_away(values: pd.Series, label: pd.Series) -> bool:
    """Whether the column alone orders the rows as the label does: it may be known only when the label is."""
    both = pd.DataFrame({"x": pd.to_numeric(values, errors="coerce"), "y": label}).dropna()
    if len(both) < 20 or both["y"].nunique() < 2:
        return False
    if both["y"].nunique() > 2:
        if not pd.api.types.is_numeric_dtype(both["y"]):
            return False
        return abs(float(both["x"].corr(both["y"], method="spearman"))) > GIVES_AWAY
    ranks, positive = both["x"].rank(), both["y"] == both["y"].max()
    n, m = int(positive.sum()), int((~positive).sum())
    auc = (float(ranks[positive].sum()) - n * (n + 1) / 2) / (n * m)
    return max(auc, 1 - auc) > GIVES_AWAY


def key_of(rows: pd.DataFrame, time: str, others: Sequence[str]) -> list[str]:
    """One column, or time and one more, that repeats in none of the rows; [] if there is none. ``others`` in order."""
    whole = [name for name in others if not rows[name].isna().any() and not pd.api.types.is_float_dtype(rows[name])]
    named = sorted(whole, key=lambda name: re.search(r"(^|_)(id|key|uuid|number|no)(_|$)", name.lower()) is None)
    for columns in [*([name] for name in named), *([time, name] for name in named if time)]:
        if not rows.duplicated(columns).any():
            return columns
    return []


def _first_rows(source: Source, base: Path) -> pd.DataFrame:
    batches: list[pa.RecordBatch] = []
    for _, found in open_main(source, base):
        for _, batch in found:
            batches.append(batch)
            if sum(each.num_rows for each in batches) >= ROWS:
                return pa.Table.from_batches(batches).slice(0, ROWS).to_pandas()
    if not batches:
        raise InputError(f"source {source.table}: 0 rows; give a table with some")
    return pa.Table.from_batches(batches).to_pandas()


def _csv(columns: Sequence[pd.Series]) -> Csv:
    nulls: set[str] = set()
    times, commas = "", False
    for values in columns:
        rest = values[~values.isin(MISSING)]
        if rest.empty:
            continue
        is_time = next((each for each in TIMES if all(_is_time(value, each) for value in rest.unique()[:1000])), "")
        comma = _all(rest, DECIMAL_COMMA) and not _all(rest, NUMBER) and not _all(rest, next(iter(THOUSANDS)))
        if is_time or comma or any(_all(rest, each) for each in (NUMBER, *THOUSANDS)):
            nulls |= set(values.unique()) & set(MISSING)
        times, commas = times or is_time, commas or comma
    return Csv(nulls=sorted(nulls), times=times, decimal="," if commas else ".")


def _is_time(text: str, form: str) -> bool:
    try:
        return bool(datetime.strptime(text, form))
    except ValueError:
        return False


def _all(values: pd.Series, pattern: re.Pattern[str]) -> bool:
    return bool(values.str.fullmatch(pattern).all())


def _plain_names(columns: Sequence[str]) -> dict[str, str]:
    """New name -> name in the table, for those that are not plain."""
    taken = {name for name in columns if re.fullmatch(NAME, name)}
    renamed: dict[str, str] = {}
    for name in columns:
        if name in taken:
            continue
        plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:50] or "column"
        plain = plain if plain[0].isalpha() else f"c_{plain}"
        unique = next(
            each for each in (plain, *(f"{plain}_{i}" for i in range(2, 10_000))) if each not in {*taken, *renamed}
        )
        renamed[unique] = name
    return renamed


def _written_numbers(rows: pd.DataFrame) -> dict[str, str]:
    """Name -> expression of the number that stands in a column of text with thousands separators."""
    derived = {}
    for name in rows:
        values = rows[name].dropna() if isinstance(rows[name].dtype, pd.StringDtype) else pd.Series(dtype="str")
        form = next((sql for pattern, sql in THOUSANDS.items() if len(values) and _all(values, pattern)), "")
        if form:
            derived[f"{name}_number"] = form.format(f'"{name}"')
    return derived


def label_values(label: pd.Series) -> list[object]:
    """Its different values in order, as plain Python values."""
    values = label.dropna().unique()
    return sorted(value.item() if isinstance(value, np.generic) else value for value in values)
