"""Stage 2, validation: anomalies block.

Four sources of anomalies: TFDV against the reviewed schema; rules of our own for what TFDV passes in silence; the
rules declared in the config; drift against the reference span. Severities and waivers decide which of them block.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from interlock.config import Config
from interlock.contracts import Anomaly, DataVerdict, FeatureDrift, Table, TableChecks, read_contract
from interlock.errors import ContractError
from interlock.validation.drift import detect_drift
from interlock.validation.rules import declared_anomalies, own_anomalies
from interlock.validation.schema import parse_schema, schema_sha256
from interlock.validation.schema_rules import schema_anomalies
from interlock.validation.spans import count_spans
from interlock.validation.waivers import weigh

ENVIRONMENT = "TRAINING"


def judge_table(
    config: Config,
    *,
    schema_text: str,
    table: Table,
    folder: Path,
    statistics: Any,
    reference: Any = None,
    now: dt.datetime | None = None,
) -> DataVerdict:
    """The verdict on the table in ``folder``. Without a schema only our own rules apply.

    ``reference``: statistics of the reference span, None when the config names none. ``now``: UTC without zone.
    """
    now = now or dt.datetime.now(dt.UTC).replace(tzinfo=None)
    data = folder / "table.parquet"
    anomalies = own_anomalies(config, statistics, data)
    if schema_text:
        anomalies += schema_anomalies(
            parse_schema(schema_text),
            statistics,
            reference=reference,
            environment=ENVIRONMENT,
            table=data,
            key=config.source.key,
        )
    file = folder / "checks.json"
    checks = read_contract(file, TableChecks) if file.exists() else None
    anomalies += declared_anomalies(config, statistics=statistics, table=table, folder=folder, checks=checks, now=now)
    drift = find_drift(config, folder)
    anomalies += drift_anomalies(drift)
    anomalies = weigh(config.validation, anomalies, now.date())
    return DataVerdict(
        passed=not any(anomaly.blocking for anomaly in anomalies),
        rows=int(statistics.datasets[0].num_examples),
        features=len(statistics.datasets[0].features),
        table_sha256=table.sha256,
        schema_sha256=schema_sha256(schema_text),
        anomalies=anomalies,
        drift=drift,
    )


def find_drift(config: Config, folder: Path) -> list[FeatureDrift]:
    """Drift of the features that are columns of the source, or of those the config names; [] when not asked for."""
    import pyarrow.parquet as pq

    wanted = config.validation.drift
    if wanted is None:
        return []
    reference, current = folder / "reference.parquet", folder / "table.parquet"
    if not reference.exists():
        raise ContractError("drift: reference.parquet is missing beside the table: ingest it again")
    kinds = {column.name: str(column.type) for column in pq.read_schema(current)}
    names = wanted.features or [name for name in config.features.names if name in kinds]
    texts = [name for name in names if kinds.get(name) in ("string", "large_string", "bool")]
    counts = count_spans(
        reference,
        current,
        time=config.source.time,
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


def drift_anomalies(drift: list[FeatureDrift]) -> list[Anomaly]:
    """An anomaly per alarm."""
    return [
        Anomaly(
            each.feature,
            "drift",
            f"{each.divergence:.4f} bits",
            f"<= {each.limit:.4f} bits",
            f"{each.feature}: divergence from the reference span {each.divergence:.4f} > {each.limit:.4f} bits: "
            "look at the statistics page; waive it when the change is real",
        )
        for each in drift
        if each.alarm
    ]
