"""What a rollout that is shown sound may still have to wait for: a person, or the end of a freeze."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from interlock.config import Freeze, Strategy

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WEEK = 7 * 24 * 60


def waits_for(strategy: Strategy, step: int, approved: set[int], now: float) -> str:
    """Why the rollout must not go on from ``step`` at ``now`` (seconds since 1970, UTC); '' if it may."""
    if window := frozen(strategy.freeze, now):
        return f"freeze {window.start} to {window.end} UTC"
    last = step >= len(strategy.steps) - 1
    needed = strategy.approval == "every step" or (strategy.approval == "promotion" and last)
    if needed and step not in approved:
        return f"approval of step {step + 1}: give it with `interlock approve`"
    return ""


def frozen(windows: Sequence[Freeze], now: float) -> Freeze | None:
    """The window that ``now`` falls in. One that ends before it starts runs over the end of the week."""
    moment = datetime.fromtimestamp(now, tz=UTC)
    minute = moment.weekday() * 24 * 60 + moment.hour * 60 + moment.minute
    for window in windows:
        start, end = _minute(window.start), _minute(window.end)
        if (minute - start) % WEEK < (end - start) % WEEK:
            return window
    return None


def _minute(text: str) -> int:
    day, _, clock = text.partition(" ")
    hour, _, minute = clock.partition(":")
    return DAYS.index(day) * 24 * 60 + int(hour) * 60 + int(minute)
