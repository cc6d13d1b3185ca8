"""Stage 2, validation: anomalies block.

Two sources of anomalies: TFDV against the reviewed schema, and rules of our own for what TFDV passes in silence
(an empty table, a feature with no value at all, too few rows).
"""

from __future__ import annotations

from typing import Any

from interlock.config import Config
from interlock.contracts import Anomaly, DataVerdict, Table
from interlock.validation.schema import parse_schema, schema_sha256

ENVIRONMENT = "TRAINING"


def judge_statistics(config: Config, *, schema_text: str, table: Table, statistics: Any) -> DataVerdict:
    """The verdict on a table's statistics. Without a schema only our own rules apply."""
    anomalies = own_anomalies(config, statistics)
    if schema_text:
        anomalies += schema_anomalies(schema_text, statistics)
    return DataVerdict(
        passed=not any(anomaly.blocking for anomaly in anomalies),
        rows=int(statistics.datasets[0].num_examples),
        features=len(statistics.datasets[0].features),
        table_sha256=table.sha256,
        schema_sha256=schema_sha256(schema_text),
        anomalies=anomalies,
    )


def schema_anomalies(schema_text: str, statistics: Any) -> list[Anomaly]:
    """What TFDV finds. ``data_missing`` and dataset-level anomalies are not in ``anomaly_info``: read all three."""
    import tensorflow_data_validation as tfdv
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    found = tfdv.validate_statistics(statistics, parse_schema(schema_text), environment=ENVIRONMENT)
    anomalies = []
    if found.data_missing:
        anomalies.append(Anomaly("", "data_missing", "0 rows", ">= 1 row", "the table is empty"))
    groups = sorted(found.anomaly_info.items())
    if found.HasField("dataset_anomaly_info"):
        groups.append(("", found.dataset_anomaly_info))
    for feature, info in groups:
        for reason in info.reason:
            rule = anomalies_pb2.AnomalyInfo.Type.Name(reason.type).lower()
            text = f"{reason.short_description}: {reason.description}"
            anomalies.append(Anomaly(feature, rule, reason.short_description, "see schema", text))
    return anomalies


def own_anomalies(config: Config, statistics: Any) -> list[Anomaly]:
    """Rules that hold with or without a schema."""
    dataset = statistics.datasets[0]
    rows, least = int(dataset.num_examples), config.validation.minimum_rows
    anomalies = []
    if rows < least:
        reason = f"{rows} rows < {least} required: widen the window or lower validation.minimum_rows"
        anomalies.append(Anomaly("", "minimum_rows", str(rows), f">= {least}", reason))
    values = {feature.path.step[0]: _present(feature) for feature in dataset.features}
    for name in config.features.names:
        if values.get(name) == 0:
            reason = f"{name} has no value in {rows} rows: drop it from features or mend the source"
            anomalies.append(Anomaly(name, "all_null", "0 values", ">= 1 value", reason))
    return anomalies


def _present(feature: Any) -> int:
    stats = feature.num_stats if feature.HasField("num_stats") else feature.string_stats
    return int(stats.common_stats.num_non_missing)
