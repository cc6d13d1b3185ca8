"""Anomalies against the reviewed schema: found by TFDV, put into words and rows here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interlock.contracts import Anomaly
from interlock.errors import ConfigError
from interlock.validation.loading import native_validation
from interlock.validation.offending import (
    Broken,
    infinite,
    missing,
    not_a_number,
    not_among,
    offending_rows,
    outside,
)


def schema_anomalies(
    schema: Any,
    statistics: Any,
    *,
    reference: Any = None,
    served: Any = None,
    environment: str = "TRAINING",
    table: Path | None = None,
    key: Sequence[str] = (),
) -> list[Anomaly]:
    """What TFDV finds, with value, limit and offending rows of ``table``.

    ``data_missing`` and dataset-level anomalies are not in ``anomaly_info``: all three are read. A comparator in
    the schema without the statistics it compares with would pass in silence: :class:`ConfigError`.
    """
    if environment == "TRAINING":  # comparators are about the table, which is judged there
        _refuse_blind_comparators(schema, reference, served)
    found = _validate(schema, statistics, reference, served, environment)
    anomalies = []
    if found.data_missing:
        anomalies.append(Anomaly("", "data_missing", "0 rows", ">= 1 row", "the table is empty"))
    if found.HasField("dataset_anomaly_info"):
        anomalies += _described("", found.dataset_anomaly_info, schema, statistics, None, key)
    for feature, info in sorted(found.anomaly_info.items()):
        anomalies += _described(feature, info, schema, statistics, table, key)
    return anomalies


def _validate(schema: Any, statistics: Any, reference: Any, served: Any, environment: str) -> Any:
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    if environment not in schema.default_environment:
        known = ", ".join(schema.default_environment) or "none"
        raise ConfigError(f'schema: environment {environment} is not declared (there are: {known}); '
                          f'add default_environment: "{environment}"')  # fmt: skip
    before, serving = (
        each.datasets[0].SerializeToString() if each is not None else b"" for each in (reference, served)
    )
    answer = native_validation().ValidateFeatureStatistics(
        statistics.datasets[0].SerializeToString(),
        schema.SerializeToString(),
        environment.encode(),
        before,
        serving,
        b"",  # statistics of the previous version
        b"",  # features needed
        b"",  # validation config
        False,
    )
    found = anomalies_pb2.Anomalies()
    found.ParseFromString(answer)
    return found


def _refuse_blind_comparators(schema: Any, reference: Any, served: Any) -> None:
    for feature in schema.feature:
        if feature.HasField("skew_comparator") and served is None:
            raise ConfigError(
                f"schema: {feature.name} has a skew_comparator and no served rows to compare with: "
                "give validation.serving in the config, or remove it"
            )
        if feature.HasField("drift_comparator") and reference is None:
            raise ConfigError(
                f"schema: {feature.name} has a drift_comparator and nothing to compare with: "
                "give validation.reference in the config, or remove it"
            )
    constraints = schema.dataset_constraints
    if constraints.HasField("num_examples_version_comparator") or (
        constraints.HasField("num_examples_drift_comparator") and reference is None
    ):
        raise ConfigError(
            "schema: dataset_constraints compare row counts with nothing to compare with: "
            "use validation.reference with rules.row_count_ratio"
        )


def _described(
    feature: str, info: Any, schema: Any, statistics: Any, table: Path | None, key: Sequence[str]
) -> list[Anomaly]:
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    declared = next((each for each in schema.feature if each.name == feature), None)
    measured = next((each for each in statistics.datasets[0].features if each.path.step[0] == feature), None)
    anomalies = []
    for reason in info.reason:
        rule = anomalies_pb2.AnomalyInfo.Type.Name(reason.type).lower()
        value, limit, broken = _in_words(rule, declared, measured, schema)
        rows = []
        if table is not None and broken is not None and measured is not None:
            rows = offending_rows(table, key, feature, broken)
        text = f"{feature or 'table'}: {value or reason.short_description}, allowed {limit or 'see schema'}"
        text += f" ({reason.description.strip() or reason.short_description})"
        anomalies.append(
            Anomaly(feature, rule, value or reason.short_description, limit or "see schema", text, rows=rows)
        )
    return anomalies


def _in_words(rule: str, declared: Any, measured: Any, schema: Any) -> tuple[str, str, Broken | None]:
    """Value, limit and predicate of a rule; '' and None where there is nothing better than TFDV's own words."""
    value, limit = "", ""
    broken: Broken | None = None
    if measured is None:
        return "no such column", "the column", None
    if declared is None:
        return "new column", "a feature in the schema", None
    number = measured.num_stats
    domain = declared.int_domain if declared.HasField("int_domain") else declared.float_domain
    has_domain = declared.HasField("int_domain") or declared.HasField("float_domain")
    if rule.endswith("has_inf"):
        value, limit, broken = f"{number.min:g} to {number.max:g}", "finite numbers", infinite
    elif rule.endswith("has_nan"):
        value, limit, broken = "NaN", "numbers", not_a_number
    elif has_domain and rule.endswith(("big_int", "small_int", "big_float", "small_float")):
        low = domain.min if _given(declared, "min") else None
        high = domain.max if _given(declared, "max") else None
        value, limit = f"{number.min:g} to {number.max:g}", f"[{_end(low)}, {_end(high)}]"
        broken = outside(low, high)
    elif rule == "enum_type_unexpected_string_values":
        values = _domain_values(declared, schema)
        known = measured.string_stats.top_values
        others = [f"{each.value!r} x{each.frequency:g}" for each in known if each.value not in set(values)]
        value = ", ".join(others[:3]) or "values outside of the domain"
        mass = declared.distribution_constraints.min_domain_mass if declared.HasField("distribution_constraints") else 1
        limit, broken = f"{mass:.2%} of rows within {len(values)} known values", not_among(values)
    elif rule in ("feature_type_low_fraction_present", "feature_type_low_number_present", "feature_type_not_present"):
        common = (
            measured.num_stats.common_stats if measured.HasField("num_stats") else measured.string_stats.common_stats
        )
        total = common.num_missing + common.num_non_missing
        value = f"{common.num_missing} of {total} rows without a value"
        limit, broken = f"present in {declared.presence.min_fraction:.2%} of rows", missing
    return value, limit, broken


def _domain_values(declared: Any, schema: Any) -> list[str]:
    if declared.HasField("string_domain"):
        return list(declared.string_domain.value)
    return [value for each in schema.string_domain if each.name == declared.domain for value in each.value]


def _given(declared: Any, end: str) -> bool:
    return bool(declared.int_domain.HasField(end) or declared.float_domain.HasField(end))


def _end(value: float | None) -> str:
    return "open" if value is None else f"{value:g}"
