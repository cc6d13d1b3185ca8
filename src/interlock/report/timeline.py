"""What happened in a rollout and why, read from its journal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from interlock.report import wording
from interlock.report.run import RolloutReport
from interlock.rollout.journal import (
    Aborted,
    AnyEvent,
    Approved,
    Entry,
    Evaluated,
    Judged,
    Promoted,
    Quarantined,
    RolledBack,
    RollingBack,
    Settled,
    ShadowJudged,
    Started,
    TrafficSet,
)
from interlock.rollout.strategy import Action

Kind = Literal["good", "bad", "open", "plain"]


class Share(msgspec.Struct, frozen=True):
    """From ``seconds`` on, the candidate has ``percent`` of the traffic."""

    seconds: float
    percent: int


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the story. ``reason`` is the inequality that decided, '' where nothing had to be decided.

    ``requests`` are those to both versions that the evidence rests on, None where that says nothing.
    """

    seconds: float
    what: str
    kind: Kind
    percent: int
    reason: str = ""
    requests: int | None = None
    candidate_requests: int | None = None
    metric: str = ""


def shares(rollout: RolloutReport) -> list[Share]:
    """The candidate's traffic as steps, from the start to the last entry."""
    if rollout.start is None:
        return []
    deployed = rollout.start.candidate_deployed
    found = [Share(0.0, rollout.start.traffic.get(deployed, 0))]
    for entry in rollout.entries:
        if isinstance(entry.event, (TrafficSet, Aborted)):
            found.append(Share(entry.time - rollout.began, entry.event.traffic.get(deployed, 0)))
    found.append(Share(rollout.entries[-1].time - rollout.began, found[-1].percent))
    return found


def decisions(rollout: RolloutReport) -> list[Happening]:
    """Every move and every decision; looks that only held are left to :func:`looks`."""
    found: list[Happening] = []
    percent, reason, deployed = 0, "", ""
    quarantined: set[str] = set()
    for entry in rollout.entries:
        match entry.event:
            case Started(candidate_deployed=deployed, traffic=traffic):
                percent = traffic.get(deployed, 0)
            case TrafficSet(traffic=traffic) | Aborted(traffic=traffic):
                percent = traffic.get(deployed, 0)
            case Quarantined(version=version) if version in quarantined:
                continue  # settling makes sure of it once more: no news
            case Quarantined(version=version):
                quarantined.add(version)
            case _:
                pass
        happening = _happening(entry, entry.time - rollout.began, percent, reason)
        if happening is not None:
            found.append(happening)
            reason = happening.reason or reason
    return found


_EVALUATED: dict[str, Kind] = {"passed": "good", "failed": "bad"}


def _happening(entry: Entry, seconds: float, percent: int, told: str) -> Happening | None:
    """The line for one entry, or None. ``told``: the reason given last, not to be given twice in a row."""
    if isinstance(entry.event, Judged):
        return _judged(entry.event, seconds, percent) if entry.event.action != Action.HOLD else None
    if isinstance(entry.event, ShadowJudged):
        return _shadow_judged(entry.event, seconds) if entry.event.action != Action.HOLD else None
    if isinstance(entry.event, RollingBack) and entry.event.reason == told and not entry.event.forced:
        return None
    what, kind, reason = _words(entry.event)
    return Happening(seconds=seconds, what=what, kind=kind, percent=percent, reason=reason) if what else None


def _words(event: AnyEvent) -> tuple[str, Kind, str]:
    """What happened, how good that is, and why; '' for events that are no news to people."""
    found: tuple[str, Kind, str] = ("", "plain", "")
    match event:
        case Started(champion_version=champion):
            against = f"started against version {champion}" if champion else "started, no champion yet"
            found = (against, "plain", "")
        case Approved(step=step, by=by):
            found = (f"step {step + 1} approved by {by}", "plain", "")
        case TrafficSet():
            found = ("traffic set", "plain", "")
        case RollingBack(reason=reason, forced=forced):
            found = ("rollback ordered by a person" if forced else "roll back", "bad", reason)
        case RolledBack(seconds=taken):
            found = (f"rolled back: traffic restored in {wording.seconds(taken)}", "bad", "")
        case Quarantined(version=version):
            found = (f"version {version} quarantined", "plain", "")
        case Promoted(version=version):
            found = (f"version {version} promoted", "good", "")
        case Evaluated(outcome=outcome, verdict=verdict):
            kind = _EVALUATED.get(outcome, "open")
            found = (f"evaluation after promotion: {outcome}", kind, verdict.reason)
        case Aborted(reason=reason):
            found = ("ended by somebody else", "open", reason)
        case Settled(outcome=outcome, production=production):
            found = (f"settled: {outcome}, production is {production or 'empty'}", "plain", "")
        case _:
            pass
    return found


def _judged(judged: Judged, seconds: float, percent: int) -> Happening:
    onward = judged.action == Action.CONTINUE
    return Happening(
        seconds=seconds,
        what="shown not worse: go on" if onward else "roll back",
        kind="good" if onward else "bad",
        percent=percent,
        reason=judged.verdict.reason,
        requests=judged.verdict.requests,
        candidate_requests=judged.verdict.candidate_requests,
        metric=judged.verdict.metric,
    )


def _shadow_judged(judged: ShadowJudged, seconds: float) -> Happening:
    """No traffic yet, and requests that were answered by both: the picture of the canary has no place for it."""
    onward = judged.action == Action.CONTINUE
    what = "shadow passed: go on" if onward else "roll back, from the shadow"
    kind: Kind = "good" if onward else "bad"
    return Happening(seconds=seconds, what=what, kind=kind, percent=0, reason=judged.verdict.reason)


def looks(rollout: RolloutReport) -> Iterator[tuple[float, Judged]]:
    """Every look at the evidence, with the seconds since the start."""
    for entry in rollout.entries:
        if isinstance(entry.event, Judged):
            yield entry.time - rollout.began, entry.event


def deciding_reason(rollout: RolloutReport) -> str:
    """The inequality that settled the rollout: of the rollback, the abort, or the last step passed."""
    events = [entry.event for entry in rollout.entries]
    for kind in (RollingBack, Aborted):
        found = [event.reason for event in events if isinstance(event, kind) and event.reason]
        if found:
            return found[-1]
    passed = [e.verdict.reason for e in events if isinstance(e, Judged) and e.action == Action.CONTINUE]
    evaluated = [event.verdict.reason for event in events if isinstance(event, Evaluated)]
    return (passed or evaluated or [""])[-1]
