"""Rules with a limit: which numbers they are about, and what the numbers say.

::

    fewer rows than minimum_rows, or undefined     -> not enough data, closes the gate unless too_few: pass
    on: bound   the 95 % bound clears the limit    -> pass, else fail
    on: harm    the limit is shown broken (Holm)   -> fail
                the 95 % bound clears the limit    -> pass
                neither                            -> not enough data, does not close the gate
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from interlock.config import Config, MetricRule, RegressionRule, Rule, lower_is_better
from interlock.contracts import Comparison, Evaluation, Measure, RuleResult
from interlock.gates.multiplicity import LEVEL, holm, p_sound

PASS, FAIL, NOT_ENOUGH = "pass", "fail", "not enough data"
UNBOUNDED = ("log_loss", "cost", "mae", "rmse", "r2", "bias", "quantile_loss")


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One rule on one slice, with the numbers that answer it. ``said``: the numbers as text, without the verdict.

    ``floor``: ``limit`` must not be undercut, else not exceeded. ``bounded``: a metric in [0, 1].
    """

    gate: str
    metric: str
    slice: str
    rule: Rule
    n: int
    value: float | None
    low: float | None
    high: float | None
    limit: float
    floor: bool
    bounded: bool
    said: str

    @property
    def answerable(self) -> bool:
        """Enough rows, and the metric is defined on them."""
        return self.n >= self.rule.minimum_rows and None not in {self.value, self.low, self.high}

    @property
    def chance(self) -> float:
        """p-value of a sound model, 1 where the rule is not judged on harm."""
        if self.rule.proves != "harm" or self.value is None or self.low is None or self.high is None:
            return 1.0
        return p_sound(
            value=self.value, low=self.low, high=self.high, limit=self.limit, floor=self.floor, bounded=self.bounded
        )


def metric_questions(config: Config, evaluation: Evaluation) -> Iterator[Question | RuleResult]:
    """One question per metric rule and slice value; a failed result for a rule without any."""
    for rule in config.gates.metrics:
        found = [m for m in evaluation.measures if m.metric == rule.metric and covers(rule, m.slice)]
        if not found:
            yield absent("metrics", rule, rule.metric)
        for measure in found:
            yield _metric_question(rule, measure)


def _metric_question(rule: MetricRule, measure: Measure) -> Question:
    limit = rule.at_least if rule.at_least is not None else rule.at_most
    assert limit is not None  # the config is refused without
    return Question(
        gate="metrics",
        metric=rule.metric,
        slice=measure.slice,
        rule=rule,
        n=measure.n,
        value=measure.value,
        low=measure.low,
        high=measure.high,
        limit=limit,
        floor=rule.at_least is not None,
        bounded=rule.metric.partition(":")[0] not in UNBOUNDED,
        said=f"{rule.metric} {_text(measure.value)}",
    )


def regression_questions(config: Config, evaluation: Evaluation) -> Iterator[Question | RuleResult]:
    """Non-inferiority to the champion. Without a champion each rule passes and says why."""
    for rule in config.gates.regression:
        if evaluation.champion_unscorable:
            yield _unscorable(config, rule, evaluation)
            continue
        if not evaluation.champion:
            reason = "no champion yet: first version"
            yield RuleResult(gate="regression", rule=rule.metric, slice=rule.slice, verdict=PASS, reason=reason)
            continue
        listed = evaluation.slice_comparisons if rule.slice else evaluation.comparisons
        found = [c for c in listed if c.metric == rule.metric and covers(rule, c.slice)]
        if not found:
            yield absent("regression", rule, rule.metric)
        for comparison in found:
            yield _regression_question(rule, comparison, evaluation.champion)


def _regression_question(rule: RegressionRule, found: Comparison, champion: str) -> Question:
    room = rule.within * abs(found.champion or 0.0)
    floor = not lower_is_better(rule.metric)
    return Question(
        gate="regression",
        metric=rule.metric,
        slice=found.slice,
        rule=rule,
        n=found.n,
        value=found.difference,
        low=found.low,
        high=found.high,
        limit=-room if floor else room,
        floor=floor,
        bounded=False,
        said=f"{rule.metric} {_text(found.candidate)} against {_text(found.champion)} of version {champion}, "
        f"difference {_text(found.difference, '+.4f')}",
    )


def _unscorable(config: Config, rule: RegressionRule, evaluation: Evaluation) -> RuleResult:
    policy = config.gates.unscorable_champion
    reason = (
        f"champion {evaluation.champion} cannot be scored: {evaluation.champion_unscorable}; "
        f"config says unscorable_champion: {policy}"
    )
    return RuleResult(
        gate="regression",
        rule=rule.metric,
        slice=rule.slice,
        verdict=NOT_ENOUGH,
        reason=reason,
        blocking=policy == "fail",
    )


def absent(gate: str, rule: Rule, metric: str) -> RuleResult:
    """A rule about something that was not measured closes its gate."""
    reason = f"{metric} on {rule.slice or 'all rows'} is not in the evaluation: evaluate again"
    return RuleResult(gate=gate, rule=metric, slice=rule.slice, verdict=FAIL, reason=reason)


def covers(rule: Rule, name: str) -> bool:
    """Whether slice ``name`` (``column=value``) is one of the rule's."""
    return name == "" if not rule.slice else name.startswith(f"{rule.slice}=")


def answer(questions: Sequence[Question | RuleResult]) -> list[RuleResult]:
    """All questions of a report together: how many there are decides what each proof of harm is worth."""
    open_ones = [q for q in questions if isinstance(q, Question) and q.answerable and q.rule.proves == "harm"]
    adjusted = dict(zip(map(id, open_ones), holm([q.chance for q in open_ones]), strict=True))
    return [q if isinstance(q, RuleResult) else _answer(q, adjusted.get(id(q), 1.0), len(open_ones)) for q in questions]


def _answer(question: Question, adjusted: float, tests: int) -> RuleResult:
    rule = question.rule
    if not question.answerable or question.low is None or question.high is None:
        few = question.n < rule.minimum_rows
        why = f"{question.n} rows < {rule.minimum_rows} required" if few else "undefined here"
        policy = "mend the slice or the rule"
        if few:
            policy = f"config says too_few: {rule.too_few}"
            policy += "; give more rows, a larger split.test or a lower minimum_rows" if rule.too_few == "fail" else ""
        blocking = rule.too_few == "fail" or not few
        return _of(question, NOT_ENOUGH, f"{question.metric} not judged: {why}; {policy}", blocking)
    bound = question.low if question.floor else question.high
    clears = bound >= question.limit if question.floor else bound <= question.limit
    sign = (">=" if clears else "<") if question.floor else ("<=" if clears else ">")
    side = "lower" if question.floor else "upper"
    reason = f"{question.said}, {side} 95 % bound {bound:.4f} {sign} {question.limit:.4g}"
    if rule.proves == "bound" or clears:
        return _of(question, PASS if clears else FAIL, reason)
    if adjusted <= LEVEL:
        beyond = "<" if question.floor else ">"
        reason = (
            f"{question.said} {beyond} {question.limit:.4g}, shown: p {adjusted:.2g} <= {LEVEL:g} (Holm, {tests} tests)"
        )
        return _of(question, FAIL, reason)
    reason += f"; the limit is not shown broken either: p {adjusted:.2g} > {LEVEL:g} (Holm, {tests} tests)"
    return _of(question, NOT_ENOUGH, reason, blocking=False)


def _of(question: Question, verdict: str, reason: str, blocking: bool = True) -> RuleResult:
    return RuleResult(
        gate=question.gate,
        rule=question.metric,
        slice=question.slice,
        value=question.value,
        limit=question.limit,
        verdict=verdict,
        reason=reason,
        blocking=blocking,
    )


def _text(value: float | None, form: str = ".4f") -> str:
    return "undefined" if value is None else format(value, form)
