"""Which anomalies block: severities and waivers of the config."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec

from interlock.config import DataWaiver, Validation
from interlock.contracts import Anomaly


def weigh(validation: Validation, anomalies: Sequence[Anomaly], today: dt.date) -> list[Anomaly]:
    """Anomalies with ``blocking`` and ``waiver`` settled; an expired waiver is an anomaly of its own, and blocks."""
    weighed = []
    for anomaly in anomalies:
        severity = _severity(validation, anomaly)
        waiver = next((each for each in validation.waivers if _covers(each, anomaly)), None)
        if waiver is not None and waiver.expires >= today:
            text = f"{waiver.owner} until {waiver.expires}: {waiver.reason}"
            weighed.append(msgspec.structs.replace(anomaly, blocking=False, waiver=text))
        else:
            weighed.append(msgspec.structs.replace(anomaly, blocking=severity == "block"))
    return [*weighed, *_expired(validation.waivers, today)]


def _severity(validation: Validation, anomaly: Anomaly) -> str:
    own = f"{anomaly.feature}.{anomaly.rule}" if anomaly.feature else anomaly.rule
    return validation.severity.get(own) or validation.severity.get(anomaly.rule) or "block"


def _covers(waiver: DataWaiver, anomaly: Anomaly) -> bool:
    return (waiver.feature, waiver.rule) == (anomaly.feature, anomaly.rule)


def _expired(waivers: Sequence[DataWaiver], today: dt.date) -> list[Anomaly]:
    found = []
    for waiver in waivers:
        if waiver.expires < today:
            of = f"{waiver.feature or 'table'}/{waiver.rule}"
            reason = f"waiver for {of} by {waiver.owner} expired on {waiver.expires}: mend the data or renew it"
            found.append(Anomaly(waiver.feature, "waiver_expired", str(waiver.expires), f">= {today}", reason))
    return found
