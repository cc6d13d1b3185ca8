"""Where a rollout stands, folded from its journal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from interlock.errors import InputError
from interlock.rollout.counts import Check
from interlock.rollout.journal import (
    Aborted,
    Approved,
    Checked,
    Entry,
    Evaluated,
    Judged,
    Promoted,
    Promoting,
    RolledBack,
    RollingBack,
    Settled,
    Shadowed,
    ShadowJudged,
    Started,
    TrafficIntended,
    TrafficSet,
)
from interlock.rollout.pairs import ShadowCheck
from interlock.rollout.strategy import Action


class Phase(StrEnum):
    """Life of a rollout; :mod:`interlock.rollout.journal` draws the order."""

    NOT_STARTED = "not started"
    RUNNING = "running"
    PROMOTING = "promoting"
    PROMOTED = "promoted"
    ROLLING_BACK = "rolling back"
    ROLLED_BACK = "rolled back"
    ABORTED = "aborted"


class Stretch(msgspec.Struct, kw_only=True):
    """Log rows ``after`` < log_id <= ``until`` answered at one weight; ``until`` is None while it lasts.

    ``began`` and ``ended``: when the weight was set, and when the next was about to be (seconds since 1970).
    """

    weight: int
    after: int
    until: int | None = None
    began: float = 0.0
    ended: float = math.inf


class State(msgspec.Struct, kw_only=True):
    """Everything the next process needs.

    ``traffic`` was last known to be in force; ``intended`` was written down but not confirmed.
    ``step_began``: index of a step -> when its weight was set. ``checks`` compare both arms;
    ``after_promotion`` are those since, with one arm, or both where a holdback remains.
    """

    phase: Phase = Phase.NOT_STARTED
    started: Started | None = None
    began: float = 0.0
    traffic: dict[str, int] = {}
    intended: dict[str, int] | None = None
    step_began: dict[int, float] = {}
    stretches: list[Stretch] = []
    checks: list[Check] = []
    after_promotion: list[Check] = []
    shadow: list[ShadowCheck] = []
    shadow_passed: bool = False
    passed: set[int] = set()
    approved: set[int] = set()
    promoted_at: float = 0.0
    promoted_weight: int = 100
    decided: RollingBack | None = None
    decided_at: float = 0.0
    evaluated: str = ""
    settled: Settled | None = None

    @property
    def start(self) -> Started:
        """What the rollout was started with; :class:`InputError` if it was not."""
        if self.started is None:
            raise InputError("rollout has not begun: call begin with both versions deployed first")
        return self.started

    @property
    def counted_until(self) -> int:
        """The highest log_id that a check has counted; 0 before the first."""
        return max((check.until for check in (*self.checks, *self.after_promotion)), default=0)


def fold(entries: Sequence[Entry]) -> State:
    """Read the journal, oldest entry first, into a state."""
    state = State()
    for entry in entries:
        apply(state, entry)
    return state


def apply(state: State, entry: Entry) -> None:  # noqa: PLR0912 - one case per event
    """Change ``state`` by one more entry."""
    match entry.event:
        case Started() as event:
            state.started, state.phase = event, Phase.RUNNING
            state.traffic, state.began = event.traffic, entry.time
        case TrafficIntended() | TrafficSet() as event:
            _apply_traffic(state, event, entry.time)
        case Checked(check=check) if check.after < state.counted_until:
            pass  # two processes of one rollout counted the same rows: the first counts
        case Checked(check=check):
            if check.weight < 100:
                state.checks.append(check)
            if check.weight == state.promoted_weight:
                state.after_promotion.append(check)
        case Shadowed(check=check):
            state.shadow.append(check)
        case ShadowJudged(action=Action.CONTINUE):
            state.shadow_passed = True
        case Judged(step=step, action=Action.CONTINUE):
            state.passed.add(step)
        case Approved(step=step):
            state.approved.add(step)
        case Promoting():
            state.phase = Phase.PROMOTING
        case Promoted():
            state.phase, state.promoted_at = Phase.PROMOTED, entry.time
        case RollingBack() as event:
            state.phase, state.decided, state.decided_at = Phase.ROLLING_BACK, event, entry.time
            state.settled = None
        case RolledBack():
            state.phase = Phase.ROLLED_BACK
        case Evaluated(outcome=outcome):
            state.evaluated = outcome
        case Aborted(traffic=traffic):
            state.phase, state.traffic = Phase.ABORTED, traffic
        case Settled() as event:
            state.settled = event
        case _:  # judged "hold" or "roll back", quarantined: for people
            pass


def _apply_traffic(state: State, event: TrafficIntended | TrafficSet, time: float) -> None:
    if isinstance(event, TrafficIntended):
        state.intended = event.traffic
        if state.stretches and state.stretches[-1].until is None:
            state.stretches[-1].until, state.stretches[-1].ended = event.log_id, time
        return
    state.traffic, state.intended = event.traffic, None
    weight = event.traffic.get(state.start.candidate_deployed, 0)
    if state.phase is Phase.PROMOTING:
        state.promoted_weight = weight
    if weight > 0:
        state.stretches.append(Stretch(weight=weight, after=event.log_id, began=time))
    if event.step >= 0:
        state.step_began.setdefault(event.step, time)
