"""Stage 3, features: joins, derived columns, and a split by time.

Encoding and imputation are not here: they live inside the exported model, so that training and serving share
them. What is here is what a caller of the model must know about a row.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from interlock.config import Config
from interlock.contracts import DataVerdict, Features, Table, write_contract
from interlock.errors import ConfigError, GateFailed, InputError
from interlock.features.query import KEY, TIME, features_query
from interlock.ingestion.fingerprint import fingerprint

SPLITS = ("train", "validation", "test")


def build_features(config: Config, *, table: Table, verdict: DataVerdict, source: Path, folder: Path) -> Features:
    """Write ``train.parquet``, ``validation.parquet`` and ``test.parquet`` into ``folder``.

    Refuses a table whose verdict did not pass, or whose verdict is about other data.
    """
    if verdict.table_sha256 != table.sha256:
        raise InputError(
            f"data verdict is about table {verdict.table_sha256[:12]}, not {table.sha256[:12]}: validate again"
        )
    if not verdict.passed:
        blocking = [a for a in verdict.anomalies if a.blocking]
        first = f"{blocking[0].feature or 'table'}: {blocking[0].reason}"
        raise GateFailed(f"data gate: {len(blocking)} anomalies, first {first}; see data_verdict.json")
    rows = query_rows(config, source)
    _check_keys(rows)
    labelled = rows.filter(pc.is_valid(rows.column(config.label.name)))
    _check_label(config, labelled)
    parts, boundaries = split_by_time(labelled, config.split.validation, config.split.test)
    _check_train_label(config, parts["train"])
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        pq.write_table(part, folder / f"{name}.parquet", compression="zstd")
    features = Features(
        table_sha256=table.sha256,
        sha256=fingerprint(labelled.to_batches(), labelled.schema),
        label=config.label.name,
        numbers=config.features.numbers,
        categories=config.features.categories,
        rows={name: part.num_rows for name, part in parts.items()},
        dropped_rows=rows.num_rows - labelled.num_rows,
        boundaries=boundaries,
    )
    write_contract(features, folder / "features.json")
    return features


def query_rows(config: Config, source: Path, *, with_label: bool = True) -> pa.Table:
    """Run the config's query over an ingested table. Every row of the source comes out exactly once."""
    import duckdb

    connection = duckdb.connect(config={"enable_external_access": False, "threads": 2})
    main = pq.read_table(source / "table.parquet")
    connection.register("source", main)
    for join in config.source.join:
        connection.register(join.name, pq.read_table(source / f"{join.name}.parquet"))
    query = features_query(config, with_label=with_label)
    try:
        result = connection.sql(query).to_arrow_table()
    except duckdb.Error as error:
        raise ConfigError(f"features: {_first_line(error)}; correct label.sql, features or slices") from error
    if result.num_rows != main.num_rows:
        names = ", ".join(join.name for join in config.source.join)
        raise InputError(f"joining {names} made {result.num_rows} rows of {main.num_rows}: `by` must be unique there")
    return result


def _first_line(error: Any) -> str:
    return re.sub(r"\s+", " ", str(error).partition("\n\n")[0].partition("LINE 1:")[0]).strip()


def split_by_time(rows: pa.Table, validation: float, test: float) -> tuple[dict[str, pa.Table], dict[str, str]]:
    """Cut sorted rows into train, validation, test. Rows of one instant never part: the border moves earlier."""
    times = rows.column(TIME).combine_chunks()
    borders = []
    for share in (validation + test, test):
        at = int(rows.num_rows * (1 - share))
        instant = times[at]
        borders.append(int(np.searchsorted(np.asarray(times), np.asarray(times)[at], side="left")) if instant else at)
    cuts = [0, *borders, rows.num_rows]
    parts = {name: rows.slice(cuts[i], cuts[i + 1] - cuts[i]) for i, name in enumerate(SPLITS)}
    empty = [name for name, part in parts.items() if part.num_rows == 0]
    if empty:
        raise InputError(f"split: {', '.join(empty)} has 0 of {rows.num_rows} rows; widen the window or change split")
    return parts, {name: str(part.column(TIME)[0].as_py()) for name, part in parts.items()}


def _check_keys(rows: pa.Table) -> None:
    repeated = rows.num_rows - pc.count_distinct(rows.column(KEY)).as_py()
    if repeated:
        raise InputError(f"source.key: {repeated} of {rows.num_rows} rows repeat a key; add columns until it is unique")


def _check_label(config: Config, rows: pa.Table) -> None:
    name = config.label.name
    values = pc.unique(rows.column(name)).to_pylist()
    if config.task == "binary" and sorted(values) != [0, 1]:
        found = f"values {sorted(values)} in {rows.num_rows} rows"
        raise InputError(f"label {name}: {found}, both 0 and 1 are needed; correct label.sql")
    if config.task == "multiclass":
        other = sorted(set(values) - set(config.label.classes))
        if other:
            shown = ", ".join(other)[:200]
            raise InputError(f"label {name}: {shown} not in label.classes; add them there, or map them in label.sql")
    if config.task == "regression":
        bad = pc.sum(pc.invert(pc.is_finite(rows.column(name)))).as_py() or 0
        if bad or len(values) < 2:
            found = f"{bad} of {rows.num_rows} rows are not finite" if bad else f"{len(values)} different values"
            raise InputError(f"label {name}: {found}, a regression needs different finite numbers; correct label.sql")


def _check_train_label(config: Config, train: pa.Table) -> None:
    values = set(pc.unique(train.column(config.label.name)).to_pylist())
    missing = [name for name in config.label.classes if name not in values]
    if missing:
        raise InputError(
            f"label {config.label.name}: {', '.join(missing)} in no row of the train split; widen the window, or take "
            "them out of label.classes"
        )
