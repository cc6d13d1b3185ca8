"""Is the version served as it should be? Rules on requests, latency, errors, the split, and how old things are."""

from __future__ import annotations

from collections.abc import Mapping

from interlock.config import Config
from interlock.contracts import MonitoringCheck
from interlock.monitoring.bounds import missing, share_bounds, share_check
from interlock.monitoring.window import Window

HOUR, DAY = 3600.0, 86400.0


def rule_checks(config: Config, window: Window, z: float) -> list[MonitoringCheck]:
    """The declared ranges, repeated keys, and requests the server refused as wrong."""
    answered, checks = window.own.answered, []
    for rule, outside in zip(config.monitoring.ranges, window.outside, strict=True):
        least = "" if rule.least is None else f"{rule.least:g} <= "
        most = "" if rule.most is None else f" <= {rule.most:g}"
        what = f"not {least}{rule.feature}{most}"
        checks.append(share_check("rules", rule.feature, outside, answered, limit=rule.at_most, z=z, what=what))
    repeated = max(answered - window.distinct_keys, 0)
    limit = config.monitoring.duplicate_share
    checks.append(
        share_check("rules", "row_key", repeated, answered, limit=limit, z=z, what="repeated or missing keys")
    )
    refused, limit = window.own.refused, config.monitoring.error_share
    checks.append(
        share_check("rules", "requests", refused, window.own.requests, limit=limit, z=z, what="refused as wrong (4xx)")
    )
    return checks


def latency_checks(config: Config, window: Window, z: float) -> list[MonitoringCheck]:
    """Share of slow answers, of those the log has a latency of: Vertex AI's own has none."""
    own, limit, slow_ms = window.own, config.monitoring.slow_share, config.monitoring.slow_ms
    if slow_ms is None:
        return []
    if own.answered and not own.timed:
        reason = f"no latency in the log for {own.answered} answers: set monitoring.slow_ms to null where it has none"
        return [missing("latency", reason)]
    return [share_check("latency", "", own.slow, own.timed, limit=limit, z=z, what=f"slower than {slow_ms:g} ms")]


def error_checks(config: Config, window: Window, z: float) -> list[MonitoringCheck]:
    """Share of failed requests (5xx)."""
    own, limit = window.own, config.monitoring.error_share
    return [share_check("errors", "", own.failed, own.requests, limit=limit, z=z, what="failed (5xx)")]


def traffic_checks(config: Config, window: Window, split: Mapping[str, int], z: float) -> list[MonitoringCheck]:
    """Requests per version since the split was set, against the split; ``split``: percent by version."""
    total = sum(window.split.values())
    if not split:
        return [missing("traffic", "the endpoint has no traffic split: no version answers")]
    if total == 0:
        return [missing("traffic", "no request since the split was set")]
    checks = []
    for version in sorted({*split, *window.split}):
        seen, asked = window.split.get(version, 0), split.get(version, 0) / 100
        low, high = share_bounds(seen, total, z)
        gap, limit = max(low - asked, asked - high, 0.0), config.monitoring.traffic_share
        alarm = gap > limit
        reason = (
            f"version {version}: {seen} of {total} requests, {seen / total:.1%}, split {asked:.0%}: "
            f"at least {gap:.1%} away {'>' if alarm else '<='} {limit:.1%}"
        )
        checks.append(
            MonitoringCheck(
                check="traffic",
                about=version,
                status="alarm" if alarm else "ok",
                value=seen / total,
                low=low,
                high=high,
                limit=limit,
                reason=reason,
            )
        )
    return checks


def staleness_checks(config: Config, window: Window, model_created: float | None) -> list[MonitoringCheck]:
    """Age of the outcome feed, share of answers with an outcome, and age of the model (seconds since 1970)."""
    monitoring = config.monitoring
    late = config.strategy.attribution_seconds / HOUR
    most = monitoring.outcome_hours or (window.until - window.since) / HOUR + late
    checks = [_age("outcome feed", window.newest_outcome, window.until, most, HOUR, "h")]
    known, n = window.total("known"), window.total("n")
    if config.task == "binary":
        least = config.strategy.minimum_outcome_share
        if n == 0:
            checks.append(missing("staleness", "no answer is old enough to have an outcome", "outcomes"))
        else:
            alarm = known / n < least
            checks.append(
                MonitoringCheck(
                    check="staleness",
                    about="outcomes",
                    status="alarm" if alarm else "ok",
                    value=known / n,
                    limit=least,
                    reason=f"outcomes for {known / n:.1%} of {n} answers {'<' if alarm else '>='} {least:.0%} required",
                )
            )
    if monitoring.model_days is not None:
        checks.append(_age("model", model_created, window.until, monitoring.model_days, DAY, "days"))
    return checks


def _age(what: str, moment: float | None, now: float, most: float, unit: float, name: str) -> MonitoringCheck:
    if moment is None:
        return missing("staleness", f"{what}: nothing there", what)
    age = (now - moment) / unit
    alarm = age > most
    reason = f"{what}: {age:.2f} {name} old {'>' if alarm else '<='} {most:g} {name}"
    return MonitoringCheck(
        check="staleness", about=what, status="alarm" if alarm else "ok", value=age, limit=most, reason=reason
    )
