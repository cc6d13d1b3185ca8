"""Back to the champion, with or without a journal that can be written.

The decision is written first, so that a rollback cut short is finished by whoever comes next. Where the warehouse
refuses that, the traffic goes back all the same: what could not be written is said in the outcome, and a later
``settle`` finds traffic and alias in agreement.
"""

from __future__ import annotations

import msgspec

from interlock.rollout import settlement
from interlock.rollout.journal import Entry, LossyJournal, RollingBack
from interlock.rollout.settlement import Ports
from interlock.rollout.state import Phase, State, apply


def roll_back(ports: Ports, state: State, reason: str, *, forced: bool) -> str:
    """Carry it out from ``state``, as last read. What of it the journal does not know, '' if it knows all.

    Raises :class:`~interlock.rollout.traffic.TrafficChanged` unless ``forced``.
    """
    settlement.require_champion(ports.endpoint, state.start)
    journal = LossyJournal(ports.journal)
    if forced or state.phase not in (Phase.ROLLING_BACK, Phase.ROLLED_BACK):
        event = RollingBack(reason=reason, forced=forced)
        journal.append(event)
        apply(state, Entry(number=0, time=ports.clock.now(), event=event))
    settlement.complete_rollback(msgspec.structs.replace(ports, journal=journal), state)
    if not journal.lost:
        return ""
    names = ", ".join(str(event.__struct_config__.tag) for event in journal.lost)
    return f"{journal.problem}; traffic and aliases are back all the same, not written: {names}"
