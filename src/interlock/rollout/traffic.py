"""Moves traffic: intention to the journal, compare-and-set on the endpoint, confirmation to the journal."""

from __future__ import annotations

import sqlalchemy as sa

from interlock.errors import ConcurrentChange, EndpointError
from interlock.rollout.journal import RolloutJournal, TrafficIntended, TrafficSet
from interlock.rollout.measurement import latest_log_id
from interlock.rollout.ports import Endpoint
from interlock.rollout.state import State

ATTEMPTS = 10


class TrafficChanged(EndpointError):
    """The traffic is not what this rollout last set: a person, or another rollout, moved it."""

    def __init__(self, found: dict[str, int], expected: dict[str, int]) -> None:
        super().__init__(f"traffic is {found}, this rollout had set {expected}: changed by somebody else")
        self.found = found


def split(traffic: dict[str, int]) -> dict[str, int]:
    """The same traffic without the versions at 0 %."""
    return {name: percent for name, percent in traffic.items() if percent > 0}


def require_unchanged(state: State, found: dict[str, int]) -> None:
    """:class:`TrafficChanged` unless ``found`` is what the journal says, or what it was about to set."""
    if split(found) not in (state.traffic, state.intended):
        raise TrafficChanged(split(found), state.traffic)


def set_traffic(
    journal: RolloutJournal,
    endpoint: Endpoint,
    state: State,
    traffic: dict[str, int],
    *,
    step: int = -1,
    measured: sa.Engine | None = None,
    forced: bool = False,
) -> None:
    """Bring ``traffic`` into force; does nothing but confirm where it already is.

    A lost race is tried again from a fresh read, unless the traffic itself was changed (``forced``: even so).
    ``measured``: mark where in its log the weights changed, so that checks never mix two weights.
    """
    if not forced:
        require_unchanged(state, endpoint.read().traffic)
    before = latest_log_id(measured) if measured else 0
    journal.append(TrafficIntended(step=step, traffic=traffic, log_id=before))
    for _ in range(ATTEMPTS):
        found = endpoint.read()
        if split(found.traffic) == traffic:
            break
        if not forced:
            require_unchanged(state, found.traffic)
        try:
            endpoint.set_traffic(traffic, found.etag)
        except ConcurrentChange:
            continue
        break
    else:
        raise ConcurrentChange(f"endpoint kept changing: traffic {traffic} not set in {ATTEMPTS} attempts; try again")
    after = latest_log_id(measured) if measured else 0
    journal.append(TrafficSet(step=step, traffic=traffic, log_id=after))
