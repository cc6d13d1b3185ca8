"""The tables that live traffic writes and rollouts read.

SQLite on a laptop, PostgreSQL on kind, BigQuery on Google Cloud.

::

    request_response_log   one row per request an endpoint answered (columns as Vertex AI logs them, plus
                           status, latency and version, which the emulator knows)
    outcomes               what turned out to be true, by row key, written later by the business
    rollout_journal        append-only: every decision and every change of traffic
    monitoring_log         append-only: every verdict of monitoring, and what it led to

A request's instance carries ``row_key``; the outcome arrives later under the same key. ``serving_log`` is
the flattened view that metrics read.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from interlock.errors import EvidenceError

metadata = sa.MetaData()
_CREATING = 0x696E7465  # the lock under which tables are made in PostgreSQL: "inte"

request_response_log = sa.Table(
    "request_response_log",
    metadata,
    sa.Column("log_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("endpoint", sa.String, nullable=False),
    sa.Column("deployed_model_id", sa.String, nullable=False),
    sa.Column("model_version", sa.String, nullable=False),
    sa.Column("logging_time", sa.Float, nullable=False),  # seconds since 1970, UTC
    sa.Column("request_id", sa.String, nullable=False),
    sa.Column("request_payload", sa.Text, nullable=False),  # JSON array of instances
    sa.Column("response_payload", sa.Text, nullable=False),  # JSON array of predictions, [] on error
    sa.Column("status", sa.Integer, nullable=False),  # HTTP status
    sa.Column("latency_ms", sa.Float, nullable=False),
)
# Windows of monitoring are cut by time. Time stands first: rows arrive in its order, so the index grows at its end; and
# a rollout, which reads its endpoint's rows by log_id, is not led to it.
_by_time = sa.Index(
    "request_response_log_by_time", request_response_log.c.logging_time, request_response_log.c.endpoint
)

outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("row_key", sa.String, primary_key=True),
    sa.Column("outcome", sa.Integer, nullable=False),
    sa.Column("amount", sa.Float, nullable=True),  # what it was worth, for metrics of value amount
    sa.Column("time", sa.Float, nullable=False),  # arrival, seconds since 1970, UTC
)

rollout_journal = sa.Table(
    "rollout_journal",
    metadata,
    sa.Column("entry", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("rollout", sa.String, nullable=False, index=True),
    sa.Column("time", sa.Float, nullable=False),  # seconds since 1970, UTC
    sa.Column("event", sa.String, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),  # JSON object
)

monitoring_log = sa.Table(
    "monitoring_log",
    metadata,
    sa.Column("entry", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("endpoint", sa.String, nullable=False, index=True),
    sa.Column("model_version", sa.String, nullable=False),
    sa.Column("time", sa.Float, nullable=False),  # seconds since 1970, UTC
    sa.Column("verdict", sa.String, nullable=False),
    sa.Column("actions", sa.Text, nullable=False),  # JSON array of names
    sa.Column("detail", sa.Text, nullable=False),  # JSON object: window, reasons, counts per feature
)


class _FieldOfFirst(FunctionElement[Any]):
    """(column, path, field): a field of the first element of a JSON array, as text, in each database's own way."""

    inherit_cache = True


@compiles(_FieldOfFirst)
def _by_path(element: _FieldOfFirst, compiler: Any, **options: Any) -> str:
    column, path, _ = element.clauses
    return f"json_extract({compiler.process(column, **options)}, {compiler.process(path, **options)})"


@compiles(_FieldOfFirst, "postgresql")
def _by_operator(element: _FieldOfFirst, compiler: Any, **options: Any) -> str:
    column, _, field = element.clauses
    return f"(CAST({compiler.process(column, **options)} AS JSON) -> 0 ->> {compiler.process(field, **options)})"


@compiles(_FieldOfFirst, "bigquery")
def _by_value(element: _FieldOfFirst, compiler: Any, **options: Any) -> str:
    """JSON_EXTRACT would give text with its quotes; the path must be there when the statement is planned."""
    column, path, _ = element.clauses
    literal = compiler.process(path, **{**options, "literal_binds": True})
    return f"JSON_VALUE({compiler.process(column, **options)}, {literal})"


def _first(column: sa.Column[Any], field: str, kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
    """A field of the first element of a JSON array column."""
    return sa.cast(_FieldOfFirst(column, sa.literal(f"$[0].{field}"), sa.literal(field)), kind)


def instance_field(field: str, kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
    """A field of the instance a request was about, null where it is missing or null."""
    return _first(request_response_log.c.request_payload, field, kind)


def prediction_field(field: str, kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
    """A field of the answer, null where the request failed."""
    return _first(request_response_log.c.response_payload, field, kind)


def serving_log(field: str = "") -> sa.Subquery:
    """One row per request: log_id, time, endpoint, deployed_model_id, model_version, row_key, probability,
    predicted, status, latency_ms. ``probability`` and ``predicted`` are null where the request failed; ``predicted``
    is -1 where the answer is no decision between 0 and 1: a class by its name, or a value.

    ``field``: one more field of the instance, as text, in a column of that name.
    """
    log = request_response_log.c
    given = [_first(log.request_payload, field, sa.String()).label("field")] if field else []
    return sa.select(
        log.log_id,
        log.logging_time.label("time"),
        log.endpoint,
        log.deployed_model_id,
        log.model_version,
        _first(log.request_payload, "row_key", sa.String()).label("row_key"),
        _first(log.response_payload, "probability", sa.Float()).label("probability"),
        _decision(log.response_payload).label("predicted"),
        log.status,
        log.latency_ms,
        *given,
    ).subquery("serving_log")


def _decision(answers: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """The label of a binary task; -1 for the answer of another one. Only what is a number is cast to one."""
    label, value = (_first(answers, field, sa.String()) for field in ("label", "value"))
    answered = sa.or_(label.is_not(None), value.is_not(None))
    return sa.case((label.in_(["0", "0.0"]), 0), (label.in_(["1", "1.0"]), 1), (answered, -1))


def reason_of(error: sa.exc.SQLAlchemyError) -> str:
    """What the database says, in its first line: SQLAlchemy adds the statement and a link."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]


def rows_of(engine: sa.Engine, statement: sa.Executable, what: str = "warehouse") -> list[dict[str, Any]]:
    """What a query gives; :class:`EvidenceError` when ``what`` it reads cannot answer."""
    try:
        with engine.connect() as connection:
            return [dict(row) for row in connection.execute(statement).mappings()]
    except sa.exc.SQLAlchemyError as error:
        raise EvidenceError(f"{what} cannot be read: {reason_of(error)}; nothing is promoted until it can") from error


def open_warehouse(url: str, patience_seconds: float = 30.0) -> sa.Engine:
    """Connect, create what is missing, and make SQLite durable and safe for several processes.

    ``patience_seconds``: how long a SQLite file that another process is writing is waited for.
    """
    engine = sa.create_engine(url, connect_args={"timeout": patience_seconds} if url.startswith("sqlite") else {})
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _write_ahead)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # two that make the same table at once would get in each other's way
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATING)))
        metadata.create_all(connection)
        if engine.dialect.name != "bigquery":  # which has no indexes: deploy/terraform partitions and clusters the log
            _index_old_log(connection)
    return engine


def _index_old_log(connection: sa.Connection) -> None:
    """A log that was made before its index was."""
    known = sa.inspect(connection).get_indexes(request_response_log.name)
    if _by_time.name not in {each["name"] for each in known}:
        connection.execute(sa.schema.CreateIndex(_by_time, if_not_exists=True))


def _write_ahead(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # the rollout journal must survive a power cut
