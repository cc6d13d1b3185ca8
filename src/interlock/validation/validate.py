"""Stage 2, validation: anomalies block.

Sources of anomalies: TFDV against the reviewed schema, for the table (TRAINING) and for served rows (SERVING); rules of
our own for what TFDV passes in silence; the rules declared in the config; drift from the reference span and skew of
served rows. Severities and waivers decide which of them block.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from interlock.config import Config
from interlock.contracts import DataVerdict, Table, TableChecks, read_contract
from interlock.validation.comparison import TABLE, find_drift, find_skew, served_anomalies
from interlock.validation.rules import declared_anomalies, own_anomalies
from interlock.validation.schema import parse_schema, schema_sha256
from interlock.validation.schema_rules import schema_anomalies
from interlock.validation.waivers import weigh


def judge_table(
    config: Config,
    *,
    schema_text: str,
    table: Table,
    folder: Path,
    statistics: Any,
    reference: Any = None,
    served: Any = None,
    now: dt.datetime | None = None,
) -> DataVerdict:
    """The verdict on the table in ``folder``. Without a schema only our own rules apply.

    ``reference``, ``served``: statistics of the reference span and of served rows, None when the config names none.
    ``now``: UTC without zone.
    """
    now = now or dt.datetime.now(dt.UTC).replace(tzinfo=None)
    anomalies = own_anomalies(config, statistics, folder / TABLE)
    if schema_text:
        schema = parse_schema(schema_text)
        anomalies += schema_anomalies(
            schema, statistics, reference=reference, served=served, table=folder / TABLE, key=config.source.key
        )
        if served is not None:
            anomalies += served_anomalies(config, schema, served, folder)
    file = folder / "checks.json"
    checks = read_contract(file, TableChecks) if file.exists() else None
    anomalies += declared_anomalies(config, statistics=statistics, table=table, folder=folder, checks=checks, now=now)
    drift, moved = find_drift(config, folder)
    skew, skewed = find_skew(config, folder)
    anomalies = weigh(config.validation, [*anomalies, *moved, *skewed], now.date())
    return DataVerdict(
        passed=not any(anomaly.blocking for anomaly in anomalies),
        rows=int(statistics.datasets[0].num_examples),
        features=len(statistics.datasets[0].features),
        table_sha256=table.sha256,
        schema_sha256=schema_sha256(schema_text),
        anomalies=anomalies,
        drift=drift,
        skew=skew,
    )
