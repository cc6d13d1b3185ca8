"""Config of source, label, features, split and validation."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from msgspec import Meta

from interlock.config.section import Count, Fraction, Name, Positive, Section


class Join(Section, frozen=True, kw_only=True):
    """A table whose columns are added to the main one by equality on ``by`` (left join, at most one match)."""

    name: Name
    table: str
    by: Annotated[list[Name], Meta(min_length=1)]
    columns: Annotated[list[Name], Meta(min_length=1)]


class Csv(Section, frozen=True, kw_only=True):
    """How the source's CSV files are written. ``delimiter`` '' is the one of ``,`` ``;`` tab ``|`` that the header has.

    ``nulls`` mean missing, beside the empty cell, NA, NaN and null. ``times``: strptime format of times that are not
    ISO, for instance ``%d/%m/%Y``. ``decimal``: decimal point of numbers.
    """

    delimiter: Annotated[str, Meta(max_length=1)] = ""
    nulls: list[str] = []
    times: str = ""
    decimal: Literal[".", ","] = "."


class Source(Section, frozen=True, kw_only=True):
    """Where rows come from. ``table``: path, glob, ``gs://`` or ``package:NAME/path``; CSV, zipped CSV or Parquet.

    ``key`` names the columns that together identify a row; ``time`` orders the rows. ``columns`` reads only these
    (besides key and time); [] is all. ``types`` fixes CSV columns whose first rows would mislead the reader.
    ``rename`` gives a column whose name is not plain one that is (``charges: "Charges ($)"``); all other keys use it.
    ``row`` is the name of a column that is made, for a table without time or key: a number per row, unique, in an
    order that has nothing to do with the file's.
    """

    table: str
    time: Name
    key: Annotated[list[Name], Meta(min_length=1)]
    join: list[Join] = []
    columns: list[Name] = []
    types: dict[Name, Literal["int", "float", "string", "bool", "time"]] = {}
    rename: dict[Name, str] = {}
    row: Annotated[str, Meta(pattern=r"^([a-zA-Z_][a-zA-Z0-9_]{0,62})?$")] = ""
    csv: Csv = Csv()


class Label(Section, frozen=True, kw_only=True):
    """What is predicted. ``sql`` is an expression over the source's columns; null = unknown.

    A condition for a binary task (0 / 1), one of ``classes`` as text for multiclass, a number for regression.
    ``classes`` are declared, so that rules about one are checked before training and two models mean the same.
    """

    name: Name
    sql: str
    classes: list[Annotated[str, Meta(min_length=1)]] = []


class Split(Section, frozen=True, kw_only=True):
    """Shares of the rows, latest last: train, then validation, then test. Never shuffled."""

    validation: Fraction = 0.1
    test: Fraction = 0.2


class FeatureSet(Section, frozen=True, kw_only=True):
    """What the model sees. ``derived`` columns are DuckDB expressions over source and joined columns."""

    numbers: list[Name] = []
    categories: list[Name] = []
    derived: dict[Name, str] = {}

    @property
    def names(self) -> list[str]:
        """All model inputs, numbers first."""
        return [*self.numbers, *self.categories]


class DataWaiver(Section, frozen=True, kw_only=True):
    """Lets an anomaly pass until the end of day ``expires`` (ISO date, UTC). ``feature`` '' is the table itself.

    After that day the anomaly blocks again, and the expired waiver is an anomaly of its own.
    """

    feature: str
    rule: str
    owner: Annotated[str, Meta(min_length=1)]
    reason: Annotated[str, Meta(min_length=1)]
    expires: datetime.date


class NullShare(Section, frozen=True, kw_only=True):
    """At most this share of ``column`` is null: the upper 99 % confidence bound must keep the limit."""

    column: Name
    at_most: Fraction


class SqlCheck(Section, frozen=True, kw_only=True):
    """A DuckDB condition every row must meet; null counts as met. At most ``at_most`` rows may break it."""

    name: Name
    sql: str
    at_most: Annotated[int, Meta(ge=0)] = 0


class Span(Section, frozen=True, kw_only=True):
    """Rows of the source with start <= time < end (ISO dates, UTC)."""

    start: str
    end: str


class Drift(Section, frozen=True, kw_only=True):
    """Alarm when a feature's distribution left the reference: a span before (``drift``), or the table (``skew``).

    ``false_alarm``: chance of any alarm over all features when nothing changed. ``effect``: Jensen-Shannon
    divergence (bits) below which a difference does not matter. ``block_days`` of rows are resampled together.
    """

    false_alarm: Annotated[float, Meta(ge=0.001, le=0.2)] = 0.01
    effect: Positive = 0.002
    block_days: Count = 7
    resamples: Annotated[int, Meta(ge=200, le=20000)] = 2000
    features: list[Name] = []


class ServedRows(Section, frozen=True, kw_only=True):
    """Rows as a model in production got them: features under the names they have in ``source.table``, and ``time``.

    ``table``: as ``source.table``; for BigQuery's serving log a ``.sql`` file that unpacks the requests. Rows with
    ``start`` <= time < ``end``; '' leaves that side open.
    """

    table: Annotated[str, Meta(min_length=1)]
    time: Name
    start: str = ""
    end: str = ""


class Rules(Section, frozen=True, kw_only=True):
    """Rules beside the schema; null = not asked.

    ``row_count_ratio``: rows per day over the reference's, [least, most]. ``fresh_hours``: the last row is at most
    this much older than the window's end (than now when the window is open). ``label_balance``: [least, most] share
    of label 1.
    """

    unique_key: bool = False
    row_count_ratio: tuple[Positive, Positive] | None = None
    fresh_hours: Positive | None = None
    null_share: list[NullShare] = []
    label_balance: tuple[Fraction, Fraction] | None = None
    checks: list[SqlCheck] = []


class Dataflow(Section, frozen=True, kw_only=True):
    """Where and how Dataflow computes statistics, named as Google's pipeline components name it.

    ``temp_location``: a ``gs://`` folder for staging, temporary files and results. ``sdk_container_image``: the image
    ``data``, which holds this package and TFDV. '' leaves Dataflow's default.
    """

    project: Annotated[str, Meta(min_length=1)]
    location: Annotated[str, Meta(min_length=1)]
    temp_location: Annotated[str, Meta(pattern=r"^gs://[^/]+")]
    sdk_container_image: Annotated[str, Meta(min_length=1)]
    dataflow_machine_type: str = "n1-standard-16"
    dataflow_max_num_workers: Count = 25
    dataflow_disk_size_gb: Count = 40
    dataflow_subnetwork: str = ""
    dataflow_use_public_ips: bool = True
    dataflow_service_account: str = ""
    encryption_spec_key_name: str = ""


class Validation(Section, frozen=True, kw_only=True):
    """``schema``: reviewed TFDV schema beside this file; '' infers one and blocks nothing but its own rules.

    ``reference``: the span that drift and row counts are held against. ``serving``: what production got; it must meet
    the schema in the environment SERVING, and ``skew`` holds its distributions against the table's. ``severity``:
    ``warn`` lets a rule (``drift``) or one feature's rule (``dest.drift``) pass with a note. ``slices`` get statistics
    of their own.
    ``engine``: ``dataflow`` computes statistics on many machines, set by ``dataflow``.
    """

    schema: str = ""
    minimum_rows: Count = 100
    slices: list[Name] = []
    weight: str = ""
    engine: Literal["local", "dataflow"] = "local"
    dataflow: Dataflow | None = None
    reference: Span | None = None
    drift: Drift | None = None
    serving: ServedRows | None = None
    skew: Drift | None = None
    rules: Rules = Rules()
    severity: dict[str, Literal["block", "warn"]] = {}
    waivers: list[DataWaiver] = []
