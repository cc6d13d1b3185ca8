"""The one file that describes a use case. Nothing else in the code knows what the table is about.

The file is YAML, read into frozen structs. Unknown keys, wrong types and impossible values are refused with
file, key, value and what is allowed, before anything runs. ``examples/flights/config.yaml`` shows every key.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml
from msgspec import Meta

from interlock.errors import ConfigError

Name = Annotated[str, Meta(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,62}$")]
Slug = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
Fraction = Annotated[float, Meta(gt=0, lt=1)]
Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every part of the file."""


class Join(Section, frozen=True, kw_only=True):
    """A table whose columns are added to the main one by equality on ``by`` (left join, at most one match)."""

    name: Name
    table: str
    by: Annotated[list[Name], Meta(min_length=1)]
    columns: Annotated[list[Name], Meta(min_length=1)]


class Source(Section, frozen=True, kw_only=True):
    """Where rows come from. ``table``: path, glob, ``gs://`` or ``package:NAME/path``; CSV, zipped CSV or Parquet.

    ``key`` names the columns that together identify a row; ``time`` orders the rows.
    """

    table: str
    time: Name
    key: Annotated[list[Name], Meta(min_length=1)]
    join: list[Join] = []


class Label(Section, frozen=True, kw_only=True):
    """What is predicted: 0 / 1. ``sql`` is a boolean expression over the source's columns; null = unknown."""

    name: Name
    sql: str


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


class Validation(Section, frozen=True, kw_only=True):
    """``schema``: reviewed TFDV schema beside this file; '' infers one and blocks nothing but its own rules."""

    schema: str = ""
    minimum_rows: Count = 100


class Training(Section, frozen=True, kw_only=True):
    """Estimator and its parameters; see interlock.training.estimators for the names.

    ``threads`` of the fit: sums of floats depend on it, so it belongs to what makes a model reproducible. Threads
    that share busy cores wait for each other: more than one pays on an idle machine with a large table only.
    """

    estimator: Literal["hist_gradient_boosting", "logistic", "random_forest"] = "hist_gradient_boosting"
    parameters: dict[str, int | float | str | bool] = {}
    threads: Count = 1


class Cost(Section, frozen=True, kw_only=True):
    """What a decision costs once the outcome is known, in the unit of the business metric."""

    false_positive: Annotated[float, Meta(ge=0)]
    false_negative: Annotated[float, Meta(ge=0)]


OFFLINE_METRICS = ("auc", "average_precision", "log_loss", "brier", "precision", "recall", "cost")
LOWER_IS_BETTER = ("log_loss", "brier", "cost")
OfflineMetric = Literal["auc", "average_precision", "log_loss", "brier", "precision", "recall", "cost"]
PairedMetric = Literal["auc", "log_loss", "brier", "cost"]


class MetricRule(Section, frozen=True, kw_only=True):
    """An absolute limit, held by the confidence bound. ``slice`` '' is all rows, else a column: every value of it.

    Slices with fewer than ``minimum_rows`` rows are "not enough data": ``too_few`` says what that means.
    """

    metric: OfflineMetric
    slice: str = ""
    at_least: float | None = None
    at_most: float | None = None
    minimum_rows: Count = 200
    too_few: Literal["pass", "fail"] = "fail"


class RegressionRule(Section, frozen=True, kw_only=True):
    """Not worse than the champion on the same rows by more than ``within`` (relative to the champion)."""

    metric: PairedMetric
    within: Annotated[float, Meta(ge=0, lt=1)]


class Gates(Section, frozen=True, kw_only=True):
    """The five gates. The data gate has no settings: every blocking anomaly closes it."""

    metrics: Annotated[list[MetricRule], Meta(min_length=1)]
    regression: Annotated[list[RegressionRule], Meta(min_length=1)]
    latency_p99_ms: Positive
    size_megabytes: Positive


class Metric(Section, frozen=True, kw_only=True):
    """A metric measured online for both versions.

    ``value``: ``cost`` (from the decision and its outcome), ``error`` (the request failed) or ``slow`` (latency
    above ``slow_ms``). ``cost`` is a mean capped at ``cap``; the others are rates. All are better when lower.
    Alpha is shared among metrics by ``weight``.
    """

    name: Name
    value: Literal["cost", "error", "slow"]
    role: Literal["business", "guardrail"]
    weight: Positive = 1.0
    cap: Positive | None = None
    slow_ms: Positive | None = None


class CanaryStep(Section, frozen=True, kw_only=True):
    """Stay at ``weight`` percent until the candidate is shown not worse than ``margin`` (relative), or worse.

    Not before ``minimum_requests`` to both versions together; ``deadline_seconds`` after the step began,
    unclear evidence becomes ``on_deadline``.
    """

    weight: Annotated[int, Meta(ge=1, le=99)]
    margin: Fraction
    minimum_requests: Count = 1000
    deadline_seconds: Positive = 600.0


class Strategy(Section, frozen=True, kw_only=True):
    """How a candidate takes over.

    ``alpha``: chance of rolling back a sound candidate, over the whole rollout however often it is looked at;
    the same for promoting one that is worse than the last margin. ``attribution_seconds``: age at which a
    request's outcome must have arrived.
    """

    kind: Literal["canary"] = "canary"
    steps: Annotated[list[CanaryStep], Meta(min_length=1, max_length=4)]
    alpha: Annotated[float, Meta(gt=0, le=0.2)] = 0.05
    attribution_seconds: Annotated[float, Meta(ge=0)] = 60.0
    check_seconds: Positive = 10.0
    maximum_candidate_requests: Count | None = None
    on_deadline: Literal["roll back", "hold"] = "roll back"
    minimum_outcome_share: Fraction = 0.8


class PostDeploy(Section, frozen=True, kw_only=True):
    """After promotion: wait for ``minimum_requests`` with outcomes, then compare with the rollout's champion."""

    minimum_requests: Count = 1000
    deadline_seconds: Positive = 600.0
    margin: Fraction = 0.3


class Monitoring(Section, frozen=True, kw_only=True):
    """Alert when the candidate's live inputs or outcomes move away from what it was trained on."""

    drift_limit: Positive = 0.1
    minimum_rows: Count = 1000


class Serving(Section, frozen=True, kw_only=True):
    """Where the model runs."""

    machine_type: str = "n1-standard-2"
    replicas: Count = 1


class Config(Section, frozen=True, kw_only=True):
    """The whole file."""

    name: Slug
    task: Literal["binary"] = "binary"
    seed: int = 0
    source: Source
    label: Label
    features: FeatureSet
    slices: list[Name] = []
    split: Split = Split()
    validation: Validation = Validation()
    training: Training = Training()
    cost: Cost
    gates: Gates
    metrics: Annotated[list[Metric], Meta(min_length=1)]
    strategy: Strategy
    post_deploy: PostDeploy = PostDeploy()
    monitoring: Monitoring = Monitoring()
    serving: Serving = Serving()


def parse_config(text: str, file: str = "config") -> Config:
    """Read and check config text. ``file`` is only for messages."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    try:
        config = msgspec.convert(raw, type=Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {_explain(error, raw)}") from error
    for problem in _impossible(config):
        raise ConfigError(f"{file}: {problem}")
    return config


def load_config(path: Path) -> Config:
    """Read the config file at ``path``."""
    return parse_config(read_config_text(path), str(path))


def read_config_text(path: Path) -> str:
    """The text of the file, as pipelines take it."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise ConfigError(f"{path}: {reason}; give a config file, for instance examples/flights/config.yaml") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error


def config_sha256(text: str) -> str:
    """Fingerprint of a config text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _explain(error: msgspec.ValidationError, raw: object) -> str:
    """msgspec's message, with the place first and the allowed keys where a key is unknown or missing."""
    what, _, where = str(error).partition(" - at ")
    where = where.partition("`$")[2]
    key = where.rstrip("`").lstrip(".") or "(top level)"
    allowed = ""
    if "unknown field" in what or "missing required field" in what:
        struct = _struct_at(Config, where.rstrip("`"))
        allowed = f"; allowed keys: {', '.join(struct.__struct_fields__)}"
    value = _value_at(raw, where.rstrip("`"))
    got = "" if isinstance(value, (dict, list)) or value is None else f" (got {value!r})"
    return f"{key}: {what[0].lower()}{what[1:]}{got}{allowed}"


def _struct_at(root: type[msgspec.Struct], path: str) -> type[msgspec.Struct]:
    struct = root
    for part in path.replace("[...]", "").split("."):
        name = part.partition("[")[0]
        if name and name in struct.__struct_fields__:
            struct = _inner_struct(msgspec.inspect.type_info(struct), name) or struct
    return struct


def _inner_struct(info: msgspec.inspect.Type, name: str) -> type[msgspec.Struct] | None:
    assert isinstance(info, msgspec.inspect.StructType)
    found = next(field.type for field in info.fields if field.name == name)
    if isinstance(found, msgspec.inspect.ListType):
        found = found.item_type
    return found.cls if isinstance(found, msgspec.inspect.StructType) else None


def _value_at(raw: object, path: str) -> object:
    value = raw
    for part in path.replace("[", ".").replace("]", "").split("."):
        if not part:
            continue
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _impossible(config: Config) -> list[str]:
    """Values that are each fine and together are not. One sentence each, key first."""
    problems = []
    names = config.features.names
    if not names:
        problems.append("features: no numbers and no categories; name at least one input column")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        problems.append(f"features: {', '.join(repeated)} named twice; an input is a number or a category, once")
    if config.label.name in names:
        problems.append(f"features: {config.label.name} is the label; a model must not see it")
    if config.split.validation + config.split.test >= 1:
        problems.append(
            f"split: validation {config.split.validation} + test {config.split.test} leave nothing to train on; "
            "their sum must be below 1"
        )
    for index, rule in enumerate(config.gates.metrics):
        problems += _impossible_rule(f"gates.metrics[{index}]", rule, config)
    problems += _impossible_rollout(config)
    return problems


def _impossible_rule(key: str, rule: MetricRule, config: Config) -> list[str]:
    problems = []
    if (rule.at_least is None) == (rule.at_most is None):
        problems.append(f"{key}: give exactly one of at_least, at_most")
    if rule.slice and rule.slice not in config.slices:
        allowed = ", ".join(config.slices) or "none; add the column to slices first"
        problems.append(f"{key}.slice: {rule.slice!r} is not a slice; allowed: {allowed}")
    return problems


def _impossible_rollout(config: Config) -> list[str]:
    problems = []
    weights = [step.weight for step in config.strategy.steps]
    if weights != sorted(set(weights)):
        problems.append(f"strategy.steps: weights {weights} must ascend, each at most once")
    names = [metric.name for metric in config.metrics]
    if len(set(names)) < len(names):
        problems.append(f"metrics: names {names} must differ")
    if not any(metric.role == "business" for metric in config.metrics):
        problems.append("metrics: none has role business; promotion needs one")
    for index, metric in enumerate(config.metrics):
        if metric.value == "cost" and metric.cap is None:
            highest = max(config.cost.false_positive, config.cost.false_negative)
            problems.append(f"metrics[{index}].cap: a mean needs a declared cap; the highest cost is {highest:g}")
        if metric.value == "slow" and metric.slow_ms is None:
            problems.append(f"metrics[{index}].slow_ms: value slow needs a limit in milliseconds")
    return problems
