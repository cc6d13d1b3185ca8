"""What monitoring saw, as one HTML page: the verdict in a sentence, what was done, each question with its answer.

Every check is there with its inequality; those in order stand closed at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from interlock.contracts import MonitoringAction, MonitoringCheck, MonitoringReport
from interlock.report import wording
from interlock.report.markup import BREAK, Html, code, details, element, facts, figure, join, mark, table
from interlock.report.moved_picture import moved_picture
from interlock.report.page import document

STATUS = {"ok": ("good", "ok"), "alarm": ("bad", "alarm"), "missing": ("open", "no data")}
OUTCOMES = {"done": "good", "held": "open", "failed": "bad"}
QUESTIONS = {
    "missing": "Is there enough traffic to judge?",
    "errors": "Does it answer without failures?",
    "latency": "Does it answer fast enough?",
    "traffic": "Does traffic go where the split says?",
    "rules": "Do requests keep the declared rules?",
    "nulls": "Are values there, and known, as often as in training?",
    "skew": "Are features as in the rows it was trained on?",
    "drift": "Are features as in the windows before?",
    "score": "Are scores as on rows it had not seen?",
    "staleness": "Are outcomes and model fresh?",
    "quality": "Is it as good as it was evaluated?",
    "calibration": "Do its probabilities come true?",
    "business": "Does it cost what was forecast?",
    "holdback": "Is it no worse than the version held back?",
}
DONE = {
    "roll back": "Production went back.",
    "train": "A training was submitted.",
    "alert": "Whoever listens was told.",
    "metric": "The verdict is in Cloud Monitoring.",
    "vertex monitor": "Vertex AI Model Monitoring looks at the window, too.",
}
WANTED = {
    "roll back": "A rollback was due.",
    "train": "A training was due.",
    "alert": "Somebody was to be told.",
    "metric": "The verdict was to go to Cloud Monitoring.",
    "vertex monitor": "Vertex AI Model Monitoring was to look at the window.",
}


def render_monitoring(report: MonitoringReport) -> str:
    """The page of one window."""
    title = f"{wording.capital(report.endpoint)}: version {report.version} in production"
    hours = wording.short((report.until - report.since) / 3600)
    window = f"{wording.moment(report.since)} to {wording.moment(report.until)}, {hours} h"
    parts = [
        element(
            "header",
            element("p", "Interlock monitoring", class_="kicker"),
            element("h1", title),
            element("p", window, class_="quiet"),
        ),
        element("ul", join([_verdict(report), *map(_action, report.actions)]), class_="verdicts"),
        _facts(report),
        element("h2", "What was asked"),
        _questions(report.checks),
    ]
    if moved := [check for check in report.checks if check.check == "skew" and check.value is not None]:
        parts += [element("h2", "How far features have moved"), _moved(moved)]
    parts += [element("h2", "Every check"), *_every(report.checks)]
    return document(title, join(parts))


def _verdict(report: MonitoringReport) -> Html:
    alarms, absent = (_of(report.checks, status) for status in ("alarm", "missing"))
    looked = wording.plural(len(report.checks), "check")
    if alarms:
        kind, word, told = "bad", "alert", f"Of {looked}, {_counted(alarms)} alarm: {_kinds(alarms)}."
    elif absent:
        word = "error: data is missing"
        kind, told = "open", f"Nothing alarms, but {_counted(absent)} of {looked} have no data: {_kinds(absent)}."
    else:
        kind, word, told = "good", "ok", f"It is as it was trained and evaluated: {looked}, no alarm."
    reasons = [element("p", code(reason), class_="reason") for reason in report.reasons[:3]]
    if more := len(report.reasons) - len(reasons):
        reasons.append(element("p", f"and {wording.plural(more, 'reason')} more, below", class_="reason"))
    return element("li", mark(kind, word), element("p", told, class_="lead"), *reasons)


def _action(action: MonitoringAction) -> Html:
    told = (DONE if action.outcome == "done" else WANTED)[action.action]
    detail = element("p", action.detail, class_="reason") if action.detail else ""
    word = mark(OUTCOMES[action.outcome], f"{action.action}: {action.outcome}")
    return element("li", word, element("p", told, class_="lead"), detail)


def _facts(report: MonitoringReport) -> Html:
    failed = f"{report.failed:,}"
    if report.requests:
        failed += f", {report.failed / report.requests:.2%}"
    cost = "no outcomes" if report.cost is None else wording.number(report.cost)
    if report.expected_cost is not None:
        cost += f", evaluated {wording.number(report.expected_cost)}"
    pairs = [
        ("Requests", wording.count(report.requests)),
        ("Failed", failed),
        ("With outcome", wording.count(report.with_outcome)),
        ("Cost per request", cost),
    ]
    if len(report.versions) > 1:
        shares = ", ".join(f"version {version}: {n:,}" for version, n in report.versions.items())
        pairs.append(("Requests by version", shares))
    return facts(pairs)


def _questions(checks: Sequence[MonitoringCheck]) -> Html:
    """A row per kind of check: the question, its answer, and the first reason against it or the closest to one."""
    rows = []
    for kind, asked in QUESTIONS.items():
        if mine := [check for check in checks if check.check == kind]:
            against = _of(mine, "alarm") or _of(mine, "missing")
            shown = against[0] if against else max(mine, key=_closeness)
            word = {"ok": "yes", "alarm": "no", "missing": "no data"}[shown.status]
            if len(mine) > 1:
                word += f", {len(against)} of {len(mine)}" if against else f", all {len(mine)}"
            question = element("span", asked, BREAK, element("span", kind, class_="quiet"))
            rows.append((question, mark(STATUS[shown.status][0], word), code(shown.reason)))
    return table(
        "Each question, and the check that is against it or closest to it", ("Question", "Answer", "Check"), rows
    )


def _closeness(check: MonitoringCheck) -> float:
    """How near to its limit; only what is compared with it from below is known to be."""
    seen = check.value if check.low is None else check.low
    return seen / check.limit if seen is not None and check.limit else 0.0


def _moved(checks: Sequence[MonitoringCheck]) -> Html:
    caption = (
        "Dots: Jensen-Shannon divergence of each feature from the training rows, 0 for the same distribution. "
        "Upright ticks: what is allowed, by chance among windows as long as this one cut out of the training rows, or "
        "by drift_limit. A dot beyond its tick is an alarm."
    )
    return figure(moved_picture(checks), caption)


def _every(checks: Sequence[MonitoringCheck]) -> Iterable[Html]:
    told = [check for check in checks if check.status != "ok"]
    fine = _of(checks, "ok")
    if told:
        yield _checks("Alarms, and what has no data", told)
    if fine:
        yield details(f"{wording.plural(len(fine), 'check')} in order", _checks("In order", fine))


def _checks(caption: str, checks: Sequence[MonitoringCheck]) -> Html:
    rows = [(each.check, each.about, mark(*STATUS[each.status]), code(each.reason)) for each in checks]
    return table(caption, ("Check", "About", "Status", "Reason"), rows)


def _of(checks: Sequence[MonitoringCheck], status: str) -> list[MonitoringCheck]:
    return [check for check in checks if check.status == status]


def _counted(checks: Sequence[MonitoringCheck]) -> str:
    return wording.count(len(checks))


def _kinds(checks: Sequence[MonitoringCheck]) -> str:
    return ", ".join(dict.fromkeys(check.check for check in checks))
