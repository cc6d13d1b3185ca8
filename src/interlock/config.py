"""The one file that describes a use case. Nothing else in the code knows what the table is about.

The file is YAML, read into frozen structs. Unknown keys, wrong types and impossible values are refused with
file, key, value and what is allowed, before anything runs. ``examples/flights/config.yaml`` shows every key.
"""

from __future__ import annotations

import datetime
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

    ``key`` names the columns that together identify a row; ``time`` orders the rows. ``columns`` reads only these
    (besides key and time); [] is all. ``types`` fixes CSV columns whose first rows would mislead the reader.
    """

    table: str
    time: Name
    key: Annotated[list[Name], Meta(min_length=1)]
    join: list[Join] = []
    columns: list[Name] = []
    types: dict[Name, Literal["int", "float", "string", "bool", "time"]] = {}


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
    """Alarm when a feature's distribution left the reference span.

    ``false_alarm``: chance of any alarm over all features when nothing changed. ``effect``: Jensen-Shannon
    divergence (bits) below which a difference does not matter. ``block_days`` of rows are resampled together.
    """

    false_alarm: Annotated[float, Meta(ge=0.001, le=0.2)] = 0.01
    effect: Positive = 0.002
    block_days: Count = 7
    resamples: Annotated[int, Meta(ge=200, le=20000)] = 2000
    features: list[Name] = []


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


class Validation(Section, frozen=True, kw_only=True):
    """``schema``: reviewed TFDV schema beside this file; '' infers one and blocks nothing but its own rules.

    ``reference``: the span that drift and row counts are held against. ``severity``: ``warn`` lets a rule
    (``drift``) or one feature's rule (``dest.drift``) pass with a note. ``slices`` get statistics of their own.
    """

    schema: str = ""
    minimum_rows: Count = 100
    slices: list[Name] = []
    weight: str = ""
    reference: Span | None = None
    drift: Drift | None = None
    rules: Rules = Rules()
    severity: dict[str, Literal["block", "warn"]] = {}
    waivers: list[DataWaiver] = []


Parameter = int | float | str | bool | None


class Search(Section, frozen=True, kw_only=True):
    """Hyper-parameters to choose from: ``budget`` combinations of ``space``, drawn with the config's seed.

    Each is scored by mean log-loss over ``folds`` cuts of the train split, always trained on earlier rows and
    scored on later ones. A space no larger than the budget is tried whole.
    """

    space: Annotated[dict[str, Annotated[list[Parameter], Meta(min_length=1)]], Meta(min_length=1)]
    budget: Annotated[int, Meta(ge=1, le=1000)] = 20
    folds: Annotated[int, Meta(ge=2, le=20)] = 3


class Training(Section, frozen=True, kw_only=True):
    """Estimator and its parameters. ``estimator``: ``hist_gradient_boosting``, ``logistic``, ``random_forest``, or
    the import path of a scikit-learn classifier, for instance ``sklearn.ensemble.GradientBoostingClassifier``.

    ``class_weights``: ``balanced``, or a weight per label. ``calibration``: ``sigmoid`` fits Platt's curve on the
    validation split. ``search`` overrides ``parameters`` of the same name by the best it finds.

    ``threads`` of the fit: sums of floats depend on it, so it belongs to what makes a model reproducible. Threads
    that share busy cores wait for each other: more than one pays on an idle machine with a large table only.
    """

    estimator: Annotated[str, Meta(pattern=r"^(hist_gradient_boosting|logistic|random_forest|sklearn(\.\w+)+)$")] = (
        "hist_gradient_boosting"
    )
    parameters: dict[str, Parameter] = {}
    threads: Count = 1
    class_weights: Literal["balanced"] | dict[str, Positive] | None = None
    calibration: Literal["none", "sigmoid"] = "none"
    search: Search | None = None


class Cost(Section, frozen=True, kw_only=True):
    """What a decision costs once the outcome is known, in the unit of the business metric."""

    false_positive: Annotated[float, Meta(ge=0)]
    false_negative: Annotated[float, Meta(ge=0)]


OFFLINE_METRICS = (
    "auc",
    "average_precision",
    "log_loss",
    "brier",
    "calibration_error",
    "precision",
    "recall",
    "f1",
    "cost",
)
LOWER_IS_BETTER = ("log_loss", "brier", "calibration_error", "cost")
OfflineMetric = Literal[
    "auc", "average_precision", "log_loss", "brier", "calibration_error", "precision", "recall", "f1", "cost"
]
PairedMetric = Literal["auc", "log_loss", "brier", "cost"]


class Rule(Section, frozen=True, kw_only=True):
    """What all gate rules share. ``slice`` '' is all rows; a column, or ``one&other`` for a pair: every value of it.

    ``on: bound`` passes when the 95 % bound clears the limit: good is proved. ``on: harm`` fails when the limit
    is shown to be broken, corrected for all such tests of the report: bad is proved. Without a word, all rows
    are judged on the bound and slices on harm. Fewer than ``minimum_rows`` rows are "not enough data":
    ``too_few`` says what that means.
    """

    slice: str = ""
    on: Literal["bound", "harm"] | None = None
    minimum_rows: Count = 200
    too_few: Literal["pass", "fail"] = "fail"

    @property
    def proves(self) -> str:
        """``bound`` or ``harm``."""
        return self.on or ("harm" if self.slice else "bound")


class MetricRule(Rule, frozen=True, kw_only=True):
    """An absolute limit for the candidate."""

    metric: OfflineMetric
    at_least: float | None = None
    at_most: float | None = None


class RegressionRule(Rule, frozen=True, kw_only=True):
    """Not worse than the champion on the same rows by more than ``within`` (relative to the champion)."""

    metric: PairedMetric
    within: Annotated[float, Meta(ge=0, lt=1)]


class Waiver(Section, frozen=True, kw_only=True):
    """A rule that may stay closed, until ``expires`` (a date, the last day). ``slice`` '' is the rule on all rows."""

    gate: Literal["metrics", "regression", "latency", "size"]
    rule: str
    slice: str = ""
    owner: Annotated[str, Meta(min_length=1)]
    reason: Annotated[str, Meta(min_length=1)]
    expires: datetime.date


class Gates(Section, frozen=True, kw_only=True):
    """The five gates. The data gate has no settings: every blocking anomaly closes it.

    ``latency_p99_ratio``: how many times the champion's p99 the candidate's may be, both measured in turn.
    ``unscorable_champion``: what it means for the regression gate when the champion's inputs are gone.
    """

    metrics: Annotated[list[MetricRule], Meta(min_length=1)]
    regression: Annotated[list[RegressionRule], Meta(min_length=1)]
    latency_p99_ms: Positive
    size_megabytes: Positive
    latency_p99_ratio: Annotated[float, Meta(ge=1)] | None = None
    unscorable_champion: Literal["pass", "fail"] = "fail"
    waivers: list[Waiver] = []


class Prometheus(Section, frozen=True, kw_only=True):
    """Two counters of one version, as PromQL; ``$deployed_model_id`` and ``$version`` stand for the arm's.

    ``url`` of a Prometheus server, or '' for Cloud Monitoring of the place's project, which speaks the same API.
    The difference of a counter between two moments is what a check counts, so give ``sum(…_total{…})``, no rate.
    """

    url: str = ""
    total: str
    counted: str
    timeout_seconds: Positive = 5.0


HIGHER_IS_BETTER = ("conversion", "amount")


class Metric(Section, frozen=True, kw_only=True):
    """A metric measured online for both versions.

    ``value``: ``cost`` (from the decision and its outcome), ``error`` (the request failed), ``slow`` (latency above
    ``slow_ms``), ``conversion`` (share of outcomes that are 1), ``amount`` (of the outcome, for instance revenue) or
    ``counter`` (from ``prometheus``). ``cost`` and ``amount`` are means capped at ``cap``; the others are rates.
    ``conversion`` and ``amount`` are better when higher, the rest when lower; a counter says it by ``better``.
    ``margin`` overrides the step's. Alpha is shared among metrics by ``weight``.
    """

    name: Name
    value: Literal["cost", "error", "slow", "conversion", "amount", "counter"]
    role: Literal["business", "guardrail"]
    weight: Positive = 1.0
    cap: Positive | None = None
    slow_ms: Positive | None = None
    better: Literal["", "lower", "higher"] = ""
    margin: Fraction | None = None
    prometheus: Prometheus | None = None

    @property
    def up(self) -> bool:
        """Whether higher is better."""
        return self.better == "higher" or (self.better == "" and self.value in HIGHER_IS_BETTER)

    @property
    def is_mean(self) -> bool:
        """Whether it is a mean of capped values; else it is a rate, counted as bad requests of all."""
        return self.value in ("cost", "amount")


class CanaryStep(Section, frozen=True, kw_only=True):
    """Stay at ``weight`` percent until the candidate is shown not worse than ``margin`` (relative), or worse.

    Not before ``minimum_requests`` to both versions together; ``deadline_seconds`` after the step began,
    unclear evidence becomes ``on_deadline``.
    """

    weight: Annotated[int, Meta(ge=1, le=99)]
    margin: Fraction
    minimum_requests: Count = 1000
    deadline_seconds: Positive = 600.0


Moment = Annotated[str, Meta(pattern=r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Freeze(Section, frozen=True, kw_only=True):
    """Every week from ``start`` until ``end`` (UTC, for instance ``Fri 16:00``) no candidate gets more traffic."""

    start: Moment
    end: Moment


class Shadow(Section, frozen=True, kw_only=True):
    """Before any step: the candidate answers logged requests again, on an endpoint of its own.

    ``sample`` percent of the production log, ``requests_per_second`` at most, once their outcomes have matured;
    ``history_rows`` of the log from before the shadow began count too. It ends when the candidate is shown not
    worse than ``margin`` on at least ``minimum_requests`` with outcome, or worse. Also worse: more failures than
    ``maximum_error_share``, more changed decisions than ``maximum_flip_share``.
    """

    margin: Fraction
    minimum_requests: Count = 1000
    deadline_seconds: Positive = 600.0
    requests_per_second: Positive = 50.0
    sample: Annotated[int, Meta(ge=1, le=100)] = 100
    history_rows: Annotated[int, Meta(ge=0)] = 0
    maximum_flip_share: Fraction | None = None
    maximum_error_share: Fraction = 0.01


class Strategy(Section, frozen=True, kw_only=True):
    """How a candidate takes over.

    ``kind``: ``canary`` by ``steps``; ``blue_green`` deploys and probes the candidate beside the champion and
    switches all traffic once; ``direct`` does so too and keeps nothing warm. ``shadow`` comes first where it is
    given. ``holdback`` percent stay with the champion after the promotion, as the control of what comes later.
    ``approval``: a person must agree before the promotion, or before every step; unanswered for
    ``approval_seconds`` the candidate goes back. Rollback is looked at while a rollout waits, for a person or in a
    ``freeze``, as at any other time.

    ``settling_seconds``: how long a new split takes to act; requests logged meanwhile are in no check.
    ``maximum_candidate_requests`` bounds a hold. ``maximum_excess_cost``: cost of the candidate beyond what the
    champion would have had on as many requests; beyond it the candidate goes back whatever the evidence.

    ``alpha``: chance of rolling back a sound candidate, over the whole rollout however often it is looked at;
    the same for promoting one that is worse than the last margin. ``attribution_seconds``: age at which a
    request's outcome must have arrived.
    """

    kind: Literal["canary", "blue_green", "direct"] = "canary"
    steps: Annotated[list[CanaryStep], Meta(max_length=4)] = []
    alpha: Annotated[float, Meta(gt=0, le=0.2)] = 0.05
    attribution_seconds: Annotated[float, Meta(ge=0)] = 60.0
    check_seconds: Positive = 10.0
    maximum_candidate_requests: Count | None = None
    on_deadline: Literal["roll back", "hold"] = "roll back"
    minimum_outcome_share: Fraction = 0.8
    settling_seconds: Annotated[float, Meta(ge=0)] = 0.0
    maximum_excess_cost: Positive | None = None
    holdback: Annotated[int, Meta(ge=0, le=5)] = 0
    approval: Literal["none", "promotion", "every step"] = "none"
    approval_seconds: Positive = 86_400.0
    freeze: list[Freeze] = []
    shadow: Shadow | None = None


class PostDeploy(Section, frozen=True, kw_only=True):
    """After promotion: wait for ``minimum_requests`` with outcomes, then compare with the rollout's champion.

    The old version stays deployed at least ``keep_warm_seconds`` after the promotion.
    """

    minimum_requests: Count = 1000
    deadline_seconds: Positive = 600.0
    margin: Fraction = 0.3
    keep_warm_seconds: Annotated[float, Meta(ge=0)] = 0.0


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
    slice_pairs: list[Annotated[list[Name], Meta(min_length=2, max_length=2)]] = []
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
    for index, pair in enumerate(config.slice_pairs):
        unknown = [name for name in pair if name not in config.slices]
        if unknown or pair[0] == pair[1]:
            problems.append(
                f"slice_pairs[{index}]: {pair} are not two of slices ({', '.join(config.slices) or 'none'})"
            )
    for index, rule in enumerate(config.gates.metrics):
        problems += _impossible_rule(f"gates.metrics[{index}]", rule, config)
    for index, regression in enumerate(config.gates.regression):
        problems += _unknown_slice(f"gates.regression[{index}]", regression, config)
    problems += _impossible_validation(config)
    problems += _impossible_rollout(config)
    return problems


def _impossible_validation(config: Config) -> list[str]:
    wanted, problems = config.validation, []
    needs = "needs validation.reference; give its start and end"
    if wanted.reference is None and wanted.drift is not None:
        problems.append(f"validation.drift: {needs}")
    if wanted.reference is None and wanted.rules.row_count_ratio is not None:
        problems.append(f"validation.rules.row_count_ratio: {needs}")
    for key in ("row_count_ratio", "label_balance"):
        limits = getattr(wanted.rules, key)
        if limits is not None and limits[0] >= limits[1]:
            problems.append(f"validation.rules.{key}: [{limits[0]:g}, {limits[1]:g}] must ascend")
    return problems


def _impossible_rule(key: str, rule: MetricRule, config: Config) -> list[str]:
    problems = []
    if (rule.at_least is None) == (rule.at_most is None):
        problems.append(f"{key}: give exactly one of at_least, at_most")
    return problems + _unknown_slice(key, rule, config)


def _unknown_slice(key: str, rule: Rule, config: Config) -> list[str]:
    known = [*config.slices, *("&".join(pair) for pair in config.slice_pairs)]
    if not rule.slice or rule.slice in known:
        return []
    allowed = ", ".join(known) or "none; add the column to slices first"
    return [f"{key}.slice: {rule.slice!r} is not a slice; allowed: {allowed}"]


def _impossible_rollout(config: Config) -> list[str]:
    problems = []
    if (config.strategy.kind == "canary") != bool(config.strategy.steps):
        wanted = "at least one step" if config.strategy.kind == "canary" else "no steps"
        problems.append(f"strategy.steps: a {config.strategy.kind} rollout has {wanted}")
    weights = [step.weight for step in config.strategy.steps]
    if config.strategy.holdback and weights and weights[-1] >= 100 - config.strategy.holdback:
        problems.append(f"strategy.holdback: {config.strategy.holdback} % leaves less than the last step gives")
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
        if metric.value == "amount" and metric.cap is None:
            problems.append(f"metrics[{index}].cap: a mean needs a declared cap, for instance the 99th percentile")
        if metric.better and metric.value != "counter" and metric.up != (metric.value in HIGHER_IS_BETTER):
            problems.append(f"metrics[{index}].better: value {metric.value} cannot be better when {metric.better}")
        if (metric.value == "counter") != (metric.prometheus is not None):
            problems.append(f"metrics[{index}].prometheus: value counter needs it, and no other value does")
        if metric.value == "slow" and metric.slow_ms is None:
            problems.append(f"metrics[{index}].slow_ms: value slow needs a limit in milliseconds")
    return problems
