"""From alarms to actions, by the policy that the config declares per check. Deciding only: nothing is done here."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.config import Action, Config
from interlock.contracts import MonitoringAction, MonitoringReport

ORDER: tuple[Action, ...] = ("roll back", "train", "alert")  # users first; who is told hears what was done


def wanted(config: Config, report: MonitoringReport) -> dict[Action, list[str]]:
    """Reasons by action, in the order they are to be done. ``hold`` leads to none."""
    found: dict[Action, list[str]] = {}
    for check in report.checks:
        if check.status != "ok":
            name = "missing" if check.status == "missing" else check.check
            for action in config.monitoring.actions_of(name):
                found.setdefault(action, []).append(check.reason)
    return {action: found[action] for action in ORDER if action in found}


def hindrance(
    action: Action, config: Config, *, now: float, open_rollouts: Sequence[str], last_training: float | None
) -> str:
    """Why ``action`` must not be done now; '' if it may.

    ``last_training``: when monitoring last submitted one (seconds since 1970).
    """
    if action == "alert":
        return ""
    if open_rollouts:
        return f"rollout {open_rollouts[-1]} is under way, and judges for itself"
    if action == "train" and last_training is not None:
        hours, least = (now - last_training) / 3600, config.monitoring.retraining.every_hours
        if hours < least:
            return f"the last training was submitted {hours:.2f} h ago < {least:g} h"
    return ""


def held(action: Action, because: list[str], why: str) -> MonitoringAction:
    """An action that was wanted and is not done."""
    assert action != "hold"
    return MonitoringAction(action=action, because=because, outcome="held", detail=why)
