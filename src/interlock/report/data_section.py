"""What data validation said: the verdict, what broke a rule and who let it pass, and drift against the reference."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.contracts import Anomaly, DataVerdict, FeatureDrift
from interlock.report import wording
from interlock.report.markup import Content, Html, code, details, element, join, mark, table

SHOWN_DRIFT = 8


def data_section(verdict: DataVerdict) -> Html:
    """In a sentence, then every anomaly, then the features that moved most."""
    word = mark("good", "passed") if verdict.passed else mark("bad", "failed")
    rows, features = wording.plural(verdict.rows, "row"), wording.plural(verdict.features, "feature")
    said = element("p", word, f" {rows}, {features}, {anomaly_count(verdict)}.")
    parts = [said]
    if verdict.anomalies:
        parts += [_anomaly_table(verdict.anomalies), *_broken_rows(verdict.anomalies)]
    parts.append(_shift(verdict.drift, "Drift", "Drift against the reference span"))
    if verdict.skew:
        parts.append(_shift(verdict.skew, "Skew", "Skew of served rows against the table"))
    return join(parts)


def anomaly_count(verdict: DataVerdict) -> str:
    """``no anomaly``; ``3 anomalies, 1 blocking, 1 waived``."""
    if not verdict.anomalies:
        return "no anomaly"
    blocking = sum(anomaly.blocking for anomaly in verdict.anomalies)
    waived = sum(bool(anomaly.waiver) for anomaly in verdict.anomalies)
    every = len(verdict.anomalies)
    found = "1 anomaly" if every == 1 else f"{every} anomalies"
    return f"{found}, {blocking or 'none'} blocking" + (f", {waived} waived" if waived else "")


def _anomaly_table(anomalies: Sequence[Anomaly]) -> Html:
    rows = [
        (a.feature or "table", a.rule, a.value, a.limit, _effect(a), _reason(a.reason, a.waiver)) for a in anomalies
    ]
    return table("Anomalies", ("Feature", "Rule", "Value", "Limit", "Effect", "Reason"), rows)


def _effect(anomaly: Anomaly) -> Html:
    if anomaly.waiver:
        return mark("open", "waived")
    return mark("bad", "blocks") if anomaly.blocking else mark("open", "noted")


def _reason(reason: str, waiver: str) -> Html:
    return join([code(reason), waived(waiver)], "")


def waived(waiver: str) -> Html:
    """Who let it pass, why and until when, below the reason; nothing without a waiver."""
    return element("span", f"waived: {waiver}", class_="waiver") if waiver else Html("")


def _broken_rows(anomalies: Sequence[Anomaly]) -> list[Html]:
    found = []
    for anomaly in anomalies:
        if anomaly.rows:
            head = list(anomaly.rows[0])
            rows: list[Sequence[Content]] = [[row.get(name, "") for name in head] for row in anomaly.rows]
            about = f"{anomaly.feature or 'table'}, {anomaly.rule}"
            found.append(details(f"Rows that break it: {about}", table(f"First rows: {about}", head, rows)))
    return found


def _shift(drift: Sequence[FeatureDrift], name: str, what: str) -> Html:
    """The features nearest to their limit first: those over it are alarms."""
    if not drift:
        return element("p", "No reference span was given: drift was not measured.", class_="quiet")
    ordered = sorted(drift, key=lambda one: (not one.alarm, -one.divergence / one.limit if one.limit else 0.0))
    alarms = sum(one.alarm for one in drift)
    features = wording.plural(len(drift), "feature")
    said = f"{what}: {alarms or 'none'} of {features} over the limit"
    rows = [
        (
            one.feature,
            wording.short(one.divergence),
            wording.short(one.limit),
            mark("bad", "over the limit") if one.alarm else mark("good", "within"),
        )
        for one in ordered
    ]
    head, few = ("Feature", "Divergence, bits", "Limit, bits", "Verdict"), rows[: max(SHOWN_DRIFT, alarms)]
    caption = f"{said}; nearest to it first" if len(few) == len(rows) else f"{said}; the {len(few)} nearest to it"
    parts = [table(caption, head, few, numbers=(1, 2))]
    if len(few) < len(rows):
        parts.append(details(f"{name} of all {len(rows)} features", table(name, head, rows, numbers=(1, 2))))
    return join(parts)
