"""The gates on the page: what closed them first, every rule one click away."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.contracts import RuleResult
from interlock.report import wording
from interlock.report.markup import BREAK, Html, code, details, element, join, mark, table
from interlock.report.run import VersionReport

PASS = "pass"


def gates(version: VersionReport) -> Html:
    """Rules on all rows and whatever closed a gate; the many on slices are counted, and one click away."""
    rules = version.gates.rules
    closed = [rule for rule in rules if rule.slice and rule.verdict != PASS and rule.blocking]
    shown = [*closed, *(rule for rule in rules if not rule.slice)]
    hidden = [rule for rule in rules if rule not in shown]
    caption = "What closed the gates, and rules on all rows" if closed else "Rules on all rows"
    parts = [_rule_table(caption, shown)]
    if hidden:
        open_ones = sum(_let_through(rule) for rule in hidden)
        said = f"{wording.plural(len(hidden), 'more rule')} on slices: {len(hidden) - open_ones} pass"
        said += f", {open_ones} with too little data, let through by the config." if open_ones else "."
        parts.append(element("p", said))
    return join([*parts, details(f"All {len(rules)} rules", _rule_table("Gate rules", rules))])


def _rule_table(caption: str, rules: Sequence[RuleResult]) -> Html:
    rows = [
        (
            rule.gate,
            rule.rule,
            rule.slice or "all rows",
            wording.short(rule.value),
            wording.short(rule.limit),
            rule_mark(rule),
            code(rule.reason),
        )
        for rule in rules
    ]
    head = ("Gate", "Rule", "Slice", "Value", "Limit", "Verdict", "Reason")
    return table(caption, head, rows, numbers=(3, 4))


def rule_mark(rule: RuleResult) -> Html:
    """The verdict of a rule; one that the config lets through by name says so."""
    kind = {"pass": "good", "fail": "bad"}.get(rule.verdict, "open")
    let_through = ", does not block" if _let_through(rule) else ""
    return mark(kind, rule.verdict + let_through)


def passed_of(rules: Sequence[RuleResult], passed: bool) -> Html:
    """``22 of 27``, and how many of the others were let through."""
    count, let_through = (
        sum(rule.verdict == PASS for rule in rules),
        sum(_let_through(rule) for rule in rules),
    )
    found = mark("good" if passed else "bad", f"{count} of {len(rules)}")
    more = element("span", BREAK, f"{let_through} too small", class_="quiet") if let_through else ""
    return element("span", found, more, class_="nowrap")


def _let_through(rule: RuleResult) -> bool:
    return rule.verdict != PASS and not rule.blocking
