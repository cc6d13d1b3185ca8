"""What monitoring saw, as one HTML page: the verdict, what was done, and every check with its inequality."""

from __future__ import annotations

from interlock.contracts import MonitoringCheck, MonitoringReport
from interlock.report import wording
from interlock.report.markup import Html, code, details, element, facts, join, mark, table
from interlock.report.page import document

WORDS = {"ok": ("good", "ok"), "alert": ("bad", "alert"), "error": ("open", "error: data is missing")}
STATUS = {"ok": ("good", "ok"), "alarm": ("bad", "alarm"), "missing": ("open", "no data")}
OUTCOMES = {"done": "good", "held": "open", "failed": "bad"}


def render_monitoring(report: MonitoringReport) -> str:
    """The page of one window."""
    title = f"{report.endpoint}: version {report.version}, monitored"
    head = element(
        "header",
        element("p", "Interlock monitoring", class_="kicker"),
        element("h1", title),
        element("p", f"{wording.moment(report.since)} to {wording.moment(report.until)}", class_="quiet"),
    )
    parts = [head, element("p", mark(*WORDS[report.verdict])), _facts(report)]
    if report.actions:
        parts.append(_actions(report))
    told = [check for check in report.checks if check.status != "ok"]
    if told:
        parts.append(_checks("What is wrong or missing", told))
    fine = [check for check in report.checks if check.status == "ok"]
    if fine:
        parts.append(details(f"{len(fine)} checks that are ok", _checks("Checks that are ok", fine)))
    return document(title, join(parts))


def _facts(report: MonitoringReport) -> Html:
    shares = ", ".join(f"version {version}: {n:,}" for version, n in report.versions.items()) or "none"
    cost = "no outcomes" if report.cost is None else f"{report.cost:.4f}"
    if report.expected_cost is not None:
        cost += f", evaluated {report.expected_cost:.4f}"
    moved = "unknown" if report.score_divergence is None else f"{report.score_divergence:.4f} bits"
    return facts(
        [
            ("Requests", shares),
            ("Failed", f"{report.failed:,}"),
            ("With outcome", f"{report.with_outcome:,}"),
            ("Cost per request", cost),
            ("Score divergence", moved),
        ]
    )


def _actions(report: MonitoringReport) -> Html:
    rows = [
        (each.action, mark(OUTCOMES[each.outcome], each.outcome), each.detail, code(each.because[0]))
        for each in report.actions
    ]
    return table("What was done", ("Action", "Outcome", "Detail", "First reason"), rows)


def _checks(caption: str, checks: list[MonitoringCheck]) -> Html:
    rows = [(each.check, each.about, mark(*STATUS[each.status]), code(each.reason)) for each in checks]
    return table(caption, ("Check", "About", "Status", "Reason"), rows)
