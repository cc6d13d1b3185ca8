"""The table against the reference span (drift), and served rows against the table (skew): one method for both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from interlock.config import Config, Drift
from interlock.contracts import Anomaly, FeatureDrift
from interlock.errors import ContractError
from interlock.validation.drift import detect_drift
from interlock.validation.schema_rules import schema_anomalies
from interlock.validation.spans import count_spans

TABLE, REFERENCE, SERVED = "table.parquet", "reference.parquet", "serving.parquet"


def find_drift(config: Config, folder: Path) -> tuple[list[FeatureDrift], list[Anomaly]]:
    """The reference span's features, and an anomaly per alarm; nothing when not asked for."""
    wanted = config.validation.drift
    if wanted is None:
        return [], []
    kinds = _kinds(folder / REFERENCE)
    names = wanted.features or [name for name in config.features.names if name in kinds]
    found = _compare(config, wanted, folder / REFERENCE, folder / TABLE, names, kinds)
    said = "divergence from the reference span"
    return found, _alarms(found, "drift", said, "look at the statistics page; waive it when the change is real")


def find_skew(config: Config, folder: Path) -> tuple[list[FeatureDrift], list[Anomaly]]:
    """Served rows against the table, and an anomaly per alarm and per feature that was not served like it."""
    wanted, served = config.validation.skew, config.validation.serving
    if wanted is None or served is None:
        return [], []
    kinds, there = _kinds(folder / TABLE), _kinds(folder / SERVED)
    names = wanted.features or [name for name in config.features.names if name in kinds]
    unlike = [_unlike(name, kinds[name], there.get(name)) for name in names if name in kinds]
    anomalies = [each for each in unlike if each is not None]
    alike = [name for name in names if name not in {each.feature for each in anomalies}]
    found = _compare(config, wanted, folder / TABLE, folder / SERVED, alike, kinds, current_time=served.time)
    said = "divergence of served rows from the table"
    return found, anomalies + _alarms(found, "skew", said, "is the feature made alike in training and serving?")


def served_anomalies(config: Config, schema: Any, statistics: Any, folder: Path) -> list[Anomaly]:
    """Served rows against the schema in the environment SERVING; rules are named ``serving.…``."""
    assert config.validation.serving is not None
    found = schema_anomalies(
        schema, statistics, environment="SERVING", table=folder / SERVED, key=[config.validation.serving.time]
    )
    return [
        msgspec.structs.replace(each, rule=f"serving.{each.rule}", reason=f"served rows: {each.reason}")
        for each in found
    ]


def _kinds(table: Path) -> dict[str, pa.DataType]:
    if not table.exists():
        raise ContractError(f"{table.name} is missing beside the table: ingest it again")
    return {field.name: field.type for field in pq.read_schema(table)}


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind))


def _unlike(name: str, kind: pa.DataType, served: pa.DataType | None) -> Anomaly | None:
    if served is not None and (_is_text(kind) == _is_text(served) or pa.types.is_null(served)):
        return None
    value = "no such column" if served is None else str(served)
    reason = f"{name}: {value} in the served rows, {kind} in the table: name it alike in validation.serving.table"
    return Anomaly(name, "skew", value, str(kind), reason)


def _compare(
    config: Config,
    wanted: Drift,
    reference: Path,
    current: Path,
    names: list[str],
    kinds: dict[str, pa.DataType],
    current_time: str = "",
) -> list[FeatureDrift]:
    texts = [name for name in names if name in kinds and _is_text(kinds[name])]
    counts = count_spans(
        reference,
        current,
        time=config.source.time,
        current_time=current_time,
        numbers=[name for name in names if name not in texts],
        categories=texts,
    )
    return detect_drift(
        counts,
        false_alarm=wanted.false_alarm,
        effect=wanted.effect,
        block_days=wanted.block_days,
        resamples=wanted.resamples,
        seed=config.seed,
    )


def _alarms(found: list[FeatureDrift], rule: str, said: str, hint: str) -> list[Anomaly]:
    return [
        Anomaly(
            each.feature,
            rule,
            f"{each.divergence:.4f} bits",
            f"<= {each.limit:.4f} bits",
            f"{each.feature}: {said} {each.divergence:.4f} > {each.limit:.4f} bits: {hint}",
        )
        for each in found
        if each.alarm
    ]
