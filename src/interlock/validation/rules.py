"""Rules of our own: what TFDV passes in silence, and what the config declares."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from interlock.config import Config
from interlock.contracts import Anomaly, Table, TableChecks
from interlock.errors import ContractError
from interlock.validation.offending import MOST_ROWS, infinite, missing, offending_rows

Z_99 = 2.5758293035489004  # two-sided 99 %


def own_anomalies(config: Config, statistics: Any, table: Path | None = None) -> list[Anomaly]:
    """Rules that hold with or without a schema: enough rows, no feature without a value, no infinity."""
    dataset = statistics.datasets[0]
    rows, least = int(dataset.num_examples), config.validation.minimum_rows
    anomalies = []
    if rows < least:
        reason = f"{rows} rows < {least} required: widen the window or lower validation.minimum_rows"
        anomalies.append(Anomaly("", "minimum_rows", str(rows), f">= {least}", reason))
    features = {feature.path.step[0]: feature for feature in dataset.features}
    for name in config.features.names:
        if name in features and present(features[name]) == 0:
            reason = f"{name} has no value in {rows} rows: drop it from features or mend the source"
            anomalies.append(Anomaly(name, "all_null", "0 values", ">= 1 value", reason))
    for name, feature in features.items():
        number = feature.num_stats
        if feature.HasField("num_stats") and (math.isinf(number.min) or math.isinf(number.max)):
            shown = offending_rows(table, config.source.key, name, infinite) if table else []
            reason = f"{name} holds infinity (row {shown[0]['row'] if shown else 'unknown'}): mend the source"
            value = f"{number.min:g} to {number.max:g}"
            anomalies.append(Anomaly(name, "infinite", value, "finite numbers", reason, rows=shown))
    return anomalies


def declared_anomalies(
    config: Config, *, statistics: Any, table: Table, folder: Path, checks: TableChecks | None, now: dt.datetime
) -> list[Anomaly]:
    """Rules of ``validation.rules``, in config order."""
    rules = config.validation.rules
    found: list[Anomaly] = []
    if rules.unique_key:
        found += repeated_keys(folder / "table.parquet", config.source.key)
    if rules.row_count_ratio is not None:
        found += row_count(table, config.validation.reference, rules.row_count_ratio)
    if rules.fresh_hours is not None:
        found += freshness(table, rules.fresh_hours, now)
    for rule in rules.null_share:
        found += null_share(statistics, rule.column, rule.at_most, folder / "table.parquet", config.source.key)
    if rules.checks or rules.label_balance is not None:
        found += from_sql(config, table, checks)
    return found


def repeated_keys(table: Path, key: Sequence[str]) -> list[Anomaly]:
    """Rows that share all of ``key`` with another one. Memory grows with the key columns."""
    keys = pq.read_table(table, columns=list(key))
    counts = keys.append_column("rows", pa.array([1] * keys.num_rows, pa.int64())).group_by(list(key))
    many = counts.aggregate([("rows", "sum")])
    many = many.filter(pc.greater(many.column("rows_sum"), 1))
    if many.num_rows == 0:
        return []
    shown = many.slice(0, MOST_ROWS).to_pylist()
    rows = [{"rows": str(each["rows_sum"]), **{name: str(each[name]) for name in key}} for each in shown]
    extra = pc.sum(many.column("rows_sum")).as_py() - many.num_rows
    reason = f"{extra} rows repeat {'+'.join(key)}, first {rows[0]}: remove them or add columns to source.key"
    return [Anomaly("", "unique_key", f"{extra} repeated rows", "0", reason, rows=rows)]


def row_count(table: Table, reference: Any, limits: tuple[float, float]) -> list[Anomaly]:
    """Rows per day, over those of the reference span."""
    if reference is None or not table.reference_rows or not table.time_start:
        raise ContractError("row_count_ratio: the table came without its reference span: ingest it again")
    days = _days(table.time_start, table.time_end)
    ratio = (table.rows / days) / (table.reference_rows / _days(reference.start, reference.end, closed=False))
    if limits[0] <= ratio <= limits[1]:
        return []
    limit = f"[{limits[0]:g}, {limits[1]:g}]"
    reason = f"rows per day are {ratio:.3f} of the reference's, outside of {limit}: is the source complete?"
    return [Anomaly("", "row_count_ratio", f"{ratio:.3f}", limit, reason)]


def freshness(table: Table, hours: float, now: dt.datetime) -> list[Anomaly]:
    """Age of the last row at the window's end, at ``now`` (UTC without zone) for an open window."""
    end = dt.datetime.fromisoformat(table.window_end) if table.window_end else now
    age = (end - dt.datetime.fromisoformat(table.time_end)).total_seconds() / 3600
    if age <= hours:
        return []
    reason = f"the last row is from {table.time_end}, {age:.1f} h before {end.isoformat()} > {hours:g} h allowed"
    return [Anomaly("", "fresh_hours", f"{age:.1f} h", f"<= {hours:g} h", f"{reason}: is the source late?")]


def null_share(statistics: Any, column: str, limit: float, table: Path, key: Sequence[str]) -> list[Anomaly]:
    """The upper bound of the null share must keep the limit: few rows are no excuse."""
    feature = next((each for each in statistics.datasets[0].features if each.path.step[0] == column), None)
    if feature is None:
        reason = f"{column} is not in the table: correct validation.rules.null_share"
        return [Anomaly(column, "null_share", "no such column", f"<= {limit:g}", reason)]
    rows = int(statistics.datasets[0].num_examples)
    nulls = rows - present(feature)
    bound = wilson_upper(nulls, rows)
    if bound <= limit:
        return []
    reason = f"{column}: {nulls} of {rows} rows are null, 99 % bound {bound:.4f} > {limit:g}: mend the source"
    shown = offending_rows(table, key, column, missing)
    return [Anomaly(column, "null_share", f"{bound:.4f}", f"<= {limit:g}", reason, rows=shown)]


def from_sql(config: Config, table: Table, checks: TableChecks | None) -> Iterator[Anomaly]:
    """What ingestion counted with DuckDB."""
    if checks is None or checks.table_sha256 != table.sha256:
        raise ContractError("checks.json is missing or about another table: ingest the table again")
    for result in checks.results:
        if result.broken > result.at_most:
            first = f", first {result.rows[0]}" if result.rows else ""
            reason = f"{result.broken} rows break ({result.sql}), {result.at_most} allowed{first}"
            limit = f"<= {result.at_most}"
            yield Anomaly("", f"check.{result.name}", f"{result.broken} rows", limit, reason, rows=result.rows)
    balance = config.validation.rules.label_balance
    if balance is not None:
        share = checks.positives / checks.labelled if checks.labelled else math.nan
        if not balance[0] <= share <= balance[1]:
            limit = f"[{balance[0]:g}, {balance[1]:g}]"
            reason = f"{config.label.name}: {checks.positives} of {checks.labelled} labels are 1, share {share:.4f}"
            yield Anomaly(config.label.name, "label_balance", f"{share:.4f}", limit, f"{reason} outside of {limit}")


def wilson_upper(count: int, n: int, z: float = Z_99) -> float:
    """Upper Wilson bound of a share (Wilson 1927); 1 without rows."""
    if n == 0:
        return 1.0
    share = count / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (centre + spread) / (1 + z * z / n)


def present(feature: Any) -> int:
    """Rows with a value."""
    stats = feature.num_stats if feature.HasField("num_stats") else feature.string_stats
    return int(stats.common_stats.num_non_missing)


def _days(start: str, end: str, *, closed: bool = True) -> float:
    """Calendar days covered; ``closed``: ``end`` is the last row, so its day counts."""
    first, last = dt.datetime.fromisoformat(start), dt.datetime.fromisoformat(end)
    days = (last.date() - first.date()).days + int(closed)
    return max(days, 1)
