"""The gates on the page: what closed them first, every rule one click away."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.contracts import RuleResult
from interlock.report import wording
from interlock.report.data_section import waived
from interlock.report.markup import BREAK, Html, code, details, element, join, mark, table
from interlock.report.run import VersionReport

PASS = "pass"


def gates(version: VersionReport) -> Html:
    """Rules on all rows and whatever closed a gate; the many on slices are counted, and one click away."""
    rules = version.gates.rules
    closed = [rule for rule in rules if rule.slice and rule.verdict != PASS and (rule.blocking or rule.waiver)]
    shown = [*closed, *(rule for rule in rules if not rule.slice)]
    hidden = [rule for rule in rules if rule not in shown]
    caption = "What closed the gates or was waived, and rules on all rows" if closed else "Rules on all rows"
    parts = [_rule_table(caption, shown)]
    if hidden:
        parts.append(element("p", f"{wording.plural(len(hidden), 'more rule')} on slices: {_counted(hidden)}."))
    return join([*parts, details(f"All {len(rules)} rules", _rule_table("Gate rules", rules))])


def _rule_table(caption: str, rules: Sequence[RuleResult]) -> Html:
    rows = [
        (
            rule.gate,
            rule.rule,
            rule.slice or element("span", "all rows", class_="nowrap"),
            wording.short(rule.value),
            wording.short(rule.limit),
            rule_mark(rule),
            join([code(rule.reason), waived(rule.waiver)], ""),
        )
        for rule in rules
    ]
    head = ("Gate", "Rule", "Slice", "Value", "Limit", "Verdict", "Reason")
    return table(caption, head, rows, numbers=(3, 4))


def rule_mark(rule: RuleResult) -> Html:
    """The verdict of a rule; one that the config or a person lets through says so."""
    kind = {"pass": "good", "fail": "bad"}.get(rule.verdict, "open")
    through = ", waived" if rule.waiver else ", does not block" if _let_through(rule) else ""
    return mark("open" if rule.waiver else kind, rule.verdict + through)


def passed_of(rules: Sequence[RuleResult], passed: bool) -> Html:
    """``22 of 27``, and what became of the others that did not close the gates."""
    count = sum(rule.verdict == PASS for rule in rules)
    found = mark("good" if passed else "bad", f"{count} of {len(rules)}")
    more = [element("span", BREAK, said, class_="quiet") for said in _through(rules)]
    return element("span", found, *more, class_="nowrap")


def _counted(rules: Sequence[RuleResult]) -> str:
    passing = sum(rule.verdict == PASS for rule in rules)
    return ", ".join([f"{passing} pass", *_through(rules)])


def _through(rules: Sequence[RuleResult]) -> list[str]:
    """What did not pass and closes nothing: waived by a person, or too small by the config's leave."""
    let = [rule for rule in rules if _let_through(rule)]
    waived_ones, small = sum(bool(rule.waiver) for rule in let), sum(not rule.waiver for rule in let)
    return [f"{n} {word}" for n, word in ((small, "too small"), (waived_ones, "waived")) if n]


def _let_through(rule: RuleResult) -> bool:
    return rule.verdict != PASS and not rule.blocking
