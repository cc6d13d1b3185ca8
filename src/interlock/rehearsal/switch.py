"""Traffic switched to and fro under load: what a switch costs, in requests lost and in time until it acts."""

from __future__ import annotations

import bisect
import time

import msgspec

from interlock.rehearsal.load import Load, Sent
from interlock.rehearsal.stage import Stage


class Switches(msgspec.Struct, frozen=True, kw_only=True):
    """``effect_ms``: per switch, from the call until the last request was sent that the old version still answered.

    ``call_ms``: how long the call itself took.
    """

    requests: int
    lost: int
    effect_ms: list[float]
    call_ms: list[float]


def switch(stage: Stage, count: int, *, every_seconds: float = 0.1, per_second: int = 800) -> Switches:
    """``count`` switches of all traffic between two versions, as blue-green does them."""
    versions = [stage.upload("sound"), stage.upload("sound")]
    deployed = stage.ready(*versions)
    calls: list[tuple[float, float, str]] = []  # began, returned, version left
    with Load(stage.place, stage.config.name, per_second, with_outcomes=False) as load:
        _until(lambda: len(load.sent) > 20)
        for number in range(count):
            target = (number + 1) % 2
            etag = stage.endpoint.read().etag
            began = time.monotonic()
            stage.endpoint.set_traffic({deployed[target]: 100}, etag)
            calls.append((began, time.monotonic(), versions[1 - target].version))
            time.sleep(every_seconds)
    sent = sorted(load.sent, key=lambda one: one.sent)
    return Switches(
        requests=len(sent),
        lost=sum(one.status != 200 for one in sent),
        effect_ms=[_effect(sent, calls, number) for number in range(count)],
        call_ms=[1000 * (returned - began) for began, returned, _ in calls],
    )


def _effect(sent: list[Sent], calls: list[tuple[float, float, str]], number: int) -> float:
    began, _, left = calls[number]
    until = calls[number + 1][0] if number + 1 < len(calls) else float("inf")
    starts = [one.sent for one in sent]
    window = sent[bisect.bisect_left(starts, began) : bisect.bisect_left(starts, until)]
    # One that was answered after the next call may have met the switch back to the version that is left here.
    late = [one.sent - began for one in window if one.version == left and one.answered < until]
    return 1000 * max(late, default=0.0)


def _until(condition: object, seconds: float = 20.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
