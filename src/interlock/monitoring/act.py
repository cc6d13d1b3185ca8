"""Does what the policy asks for, through ports, and writes down how it went. One action that fails stops no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from interlock.config import Action, Config
from interlock.contracts import MonitoringAction, MonitoringReport
from interlock.errors import InterlockError
from interlock.monitoring.policy import held, hindrance, wanted


class Hands(Protocol):
    """What monitoring can do. Each call says what it did; any :class:`InterlockError` is why it did not."""

    def roll_back(self, reason: str) -> str:
        """Production back to the version before, journaled."""
        ...

    def train(self) -> str:
        """Submit a training; the job's name."""
        ...

    def alert(self, report: MonitoringReport) -> str:
        """Tell somebody."""
        ...


def act(
    config: Config,
    report: MonitoringReport,
    hands: Hands,
    *,
    now: float,
    open_rollouts: Sequence[str],
    last_training: float | None,
) -> MonitoringReport:
    """The report with what was done about it, in the order of :data:`interlock.monitoring.policy.ORDER`."""
    for action, because in wanted(config, report).items():
        why = hindrance(action, config, now=now, open_rollouts=open_rollouts, last_training=last_training)
        done = held(action, because, why) if why else _done(action, because, report, hands)
        report = msgspec.structs.replace(report, actions=[*report.actions, done])
    return report


def failures(report: MonitoringReport) -> list[str]:
    """Actions that were wanted, allowed, and did not succeed."""
    return [f"{each.action}: {each.detail}" for each in report.actions if each.outcome == "failed"]


def _done(action: Action, because: list[str], report: MonitoringReport, hands: Hands) -> MonitoringAction:
    assert action != "hold"
    try:
        match action:
            case "roll back":
                detail = hands.roll_back(f"monitoring: {because[0]}")
            case "train":
                detail = hands.train()
            case "alert":
                detail = hands.alert(report)
    except InterlockError as error:
        return MonitoringAction(action=action, because=because, outcome="failed", detail=str(error))
    return MonitoringAction(action=action, because=because, outcome="done", detail=detail)
