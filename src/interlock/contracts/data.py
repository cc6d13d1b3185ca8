"""What ingestion, validation and features hand on."""

from __future__ import annotations

import msgspec

from interlock.contracts.file import Contract


class Column(msgspec.Struct, frozen=True):
    """A column of a table; ``kind`` is ``number``, ``category``, ``boolean`` or ``time``."""

    name: str
    kind: str


class Table(Contract, frozen=True, kw_only=True, tag="table/v1"):
    """A directory with ``table.parquet`` (and one ``<name>.parquet`` per joined table).

    ``sha256`` is a fingerprint of the values, independent of file layout. Times are ISO 8601, UTC.
    """

    source: str
    rows: int
    columns: list[Column]
    sha256: str
    time_start: str = ""
    time_end: str = ""
    joined: dict[str, int] = {}
    window_end: str = ""
    reference_rows: int = 0
    reference_sha256: str = ""
    serving_rows: int = 0
    serving_sha256: str = ""


class SqlResult(msgspec.Struct, frozen=True, kw_only=True):
    """A declared condition, counted over a table. ``rows``: up to ten rows that break it, key columns first."""

    name: str
    sql: str
    broken: int
    at_most: int
    rows: list[dict[str, str]] = []


class TableChecks(Contract, frozen=True, kw_only=True, tag="table-checks/v1"):
    """What needs SQL, computed at ingestion, where DuckDB is. ``positives`` of ``labelled`` rows have label 1."""

    table_sha256: str
    labelled: int
    positives: int
    results: list[SqlResult] = []


class Anomaly(msgspec.Struct, frozen=True):
    """One broken rule. ``value`` and ``limit`` are text for people.

    ``rows``: up to ten rows that break it, key columns first. ``waiver``: who lets it pass, why, and until when.
    """

    feature: str
    rule: str
    value: str
    limit: str
    reason: str
    blocking: bool = True
    rows: list[dict[str, str]] = []
    waiver: str = ""


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True):
    """Divergence of one feature from its reference, in bits.

    ``limit`` is the larger of the effect floor and what chance allows; ``alarm`` when the divergence exceeds it.
    """

    feature: str
    divergence: float
    limit: float
    alarm: bool


class DataVerdict(Contract, frozen=True, kw_only=True, tag="data-verdict/v1"):
    """Outcome of data validation. ``passed`` is false as soon as one blocking anomaly stands.

    ``drift``: the table against the reference span. ``skew``: served rows against the table.
    """

    passed: bool
    rows: int
    features: int
    table_sha256: str
    schema_sha256: str
    anomalies: list[Anomaly] = []
    drift: list[FeatureDrift] = []
    skew: list[FeatureDrift] = []


class Features(Contract, frozen=True, kw_only=True, tag="features/v1"):
    """A directory with ``train.parquet``, ``validation.parquet`` and ``test.parquet``, split by time.

    ``dropped_rows`` counts rows without a label. Each file holds key, time, label, slice and feature columns.
    """

    table_sha256: str
    sha256: str
    label: str
    numbers: list[str]
    categories: list[str]
    rows: dict[str, int]
    dropped_rows: int
    boundaries: dict[str, str]
