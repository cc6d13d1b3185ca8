"""Values that are each fine and together are not."""

from __future__ import annotations

from interlock.config.gates import MetricRule, RegressionRule, Rule, metrics_of, paired_metrics, unknown_metric
from interlock.config.rollout import HIGHER_IS_BETTER
from interlock.config.use_case import Config


def impossible_values(config: Config) -> list[str]:
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
    problems += _impossible_task(config)
    for index, rule in enumerate(config.gates.metrics):
        problems += _impossible_rule(f"gates.metrics[{index}]", rule, config)
    for index, regression in enumerate(config.gates.regression):
        problems += _impossible_comparison(f"gates.regression[{index}]", regression, config)
    problems += _impossible_validation(config)
    problems += _impossible_rollout(config)
    problems += _impossible_monitoring(config)
    return problems + _impossible_signing(config)


def _impossible_signing(config: Config) -> list[str]:
    if not config.signing.require_signature or config.signing.public_keys:
        return []
    return ["signing.public_keys: require_signature needs at least one, or nothing could be deployed"]


def _impossible_monitoring(config: Config) -> list[str]:
    problems = []
    for index, rule in enumerate(config.monitoring.ranges):
        where = f"monitoring.ranges[{index}]"
        if rule.feature not in config.features.numbers:
            problems.append(f"{where}: {rule.feature} is not one of features.numbers; a range is of a number")
        if rule.least is None and rule.most is None:
            problems.append(f"{where}: neither least nor most; give one, or remove it")
    return problems


def _impossible_task(config: Config) -> list[str]:
    task, classes, problems = config.task, config.label.classes, []
    if task == "multiclass" and (len(classes) < 2 or len(set(classes)) < len(classes)):
        problems.append(f"label.classes: {classes}; a multiclass task names two or more different classes")
    if task != "multiclass" and classes:
        problems.append(f"label.classes: only a multiclass task has them, not {task}; remove them, or change task")
    free = config.cost.false_positive == config.cost.false_negative == 0
    if task == "binary" and free:
        problems.append("cost: a binary task needs it, with false_positive or false_negative above 0")
    if task != "binary" and not free:
        problems.append(f"cost: a {task} task has no false positives; remove it")
    if task != "binary" and config.validation.rules.label_balance is not None:
        problems.append(f"validation.rules.label_balance: the share of label 1, which a {task} task has not; remove it")
    weights = config.training.class_weights
    labels = ["0", "1"] if task == "binary" else classes
    if task == "regression" and (weights is not None or config.training.calibration != "none"):
        problems.append("training: a regression has no classes to weigh and no probabilities to calibrate; remove them")
    elif isinstance(weights, dict) and set(weights) != set(labels):
        problems.append(
            f"training.class_weights: {weights}; give balanced, or a weight for each of {', '.join(labels)}"
        )
    if task != "binary" and config.strategy.shadow is not None:
        problems.append(f"strategy.shadow: compares decisions 0 and 1, which a {task} task has not; remove it")
    machine = config.training.machine
    if bool(machine.accelerator) != bool(machine.accelerators):
        problems.append("training.machine: accelerator and accelerators go together; give both, or neither")
    for index, metric in enumerate(config.metrics):
        if task != "binary" and metric.value == "cost":
            problems.append(
                f"metrics[{index}].value: cost is about wrong decisions of a binary task; for {task} give amount, "
                "conversion or counter"
            )
    return problems


def _impossible_validation(config: Config) -> list[str]:
    wanted, problems = config.validation, []
    needs = "needs validation.reference; give its start and end"
    if wanted.reference is None and wanted.drift is not None:
        problems.append(f"validation.drift: {needs}")
    if wanted.serving is None and wanted.skew is not None:
        problems.append("validation.skew: needs validation.serving; name the table of served rows and its time column")
    if wanted.reference is None and wanted.rules.row_count_ratio is not None:
        problems.append(f"validation.rules.row_count_ratio: {needs}")
    if (wanted.engine == "dataflow") != (wanted.dataflow is not None):
        problems.append("validation.dataflow: belongs to engine: dataflow, which needs it; give both or neither")
    for key in ("row_count_ratio", "label_balance"):
        limits = getattr(wanted.rules, key)
        if limits is not None and limits[0] >= limits[1]:
            problems.append(f"validation.rules.{key}: [{limits[0]:g}, {limits[1]:g}] must ascend")
    return problems


def _impossible_rule(key: str, rule: MetricRule, config: Config) -> list[str]:
    problems = []
    if (rule.at_least is None) == (rule.at_most is None):
        problems.append(f"{key}: give exactly one of at_least, at_most")
    unknown = unknown_metric(rule.metric, metrics_of(config.task, config.label.classes), config.task)
    if unknown:
        problems.append(f"{key}.metric: {unknown}")
    return problems + _unknown_slice(key, rule, config)


def _impossible_comparison(key: str, rule: RegressionRule, config: Config) -> list[str]:
    unknown = unknown_metric(rule.metric, paired_metrics(config.task, config.label.classes), config.task)
    problems = [f"{key}.metric: compared with the champion, {unknown}"] if unknown else []
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
    if (config.strategy.unit == "user") != bool(config.strategy.user_key):
        problems.append("strategy.user_key: names the field of the user where strategy.unit is user, and only there")
    if config.strategy.user_key and config.strategy.stratify_by:
        problems.append("strategy.stratify_by: compares requests; remove it where strategy.unit is user")
    names = [metric.name for metric in config.metrics]
    if len(set(names)) < len(names):
        problems.append(f"metrics: names {names} must differ")
    if not any(metric.role == "business" for metric in config.metrics):
        problems.append("metrics: none has role business; promotion needs one")
    return problems + _impossible_metrics(config)


def _impossible_metrics(config: Config) -> list[str]:
    problems = []
    for index, metric in enumerate(config.metrics):
        if metric.value == "counter" and config.strategy.unit == "user":
            problems.append(
                f"metrics[{index}].value: a counter knows no users; strategy.unit user needs the serving log"
            )
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
