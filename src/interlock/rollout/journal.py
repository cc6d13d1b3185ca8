"""The rollout's memory: an append-only table, one committed transaction per entry.

Every task of the deployment pipeline is a process of its own. What a rollout has done, and what it was about
to do when it died, is read from here and nowhere else::

    started -> (shadowed | shadow_judged)*
            -> (traffic_intended -> traffic_set -> (checked | judged)*)*   one round per step
            -> promoting -> traffic_intended -> traffic_set -> promoted -> checked* -> evaluated -> settled

    and from any of them
            -> rolling_back -> traffic_intended -> traffic_set -> rolled_back -> quarantined -> settled
            -> aborted -> settled                                          a person changed the traffic

``approved`` may stand anywhere. ``ordered`` stands alone: a person moved production outside of a rollout.
An intention is written before the deed, the deed after it: a crash between the two is seen and finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import sqlalchemy as sa

from interlock.contracts import Verdict
from interlock.errors import ContractError, EvidenceError
from interlock.rollout.counts import Check, Sample
from interlock.rollout.pairs import ShadowCheck
from interlock.warehouse import reason_of, rollout_journal


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of all entries."""


class Started(Event, frozen=True, kw_only=True, tag="started"):
    """Both versions are deployed, the candidate at 0 %. ``champion_*`` are '' for a first deployment.

    ``traffic`` as it was found. ``previous`` held the alias of that name and gets it back on rollback.
    ``prior``: the champion's counts from before the rollout, by metric.
    """

    endpoint: str
    champion_version: str
    candidate_version: str
    champion_deployed: str
    candidate_deployed: str
    traffic: dict[str, int]
    previous: str = ""
    prior: dict[str, Sample] = {}


class TrafficIntended(Event, frozen=True, kw_only=True, tag="traffic_intended"):
    """About to set ``traffic`` (percent by deployed model id). ``step`` is -1 outside the steps.

    Log rows up to ``log_id`` were answered under the old weights; those between it and the one of
    ``traffic_set`` under either, so no check counts them.
    """

    step: int
    traffic: dict[str, int]
    log_id: int = 0


class TrafficSet(Event, frozen=True, kw_only=True, tag="traffic_set"):
    """``traffic`` is in force for log rows after ``log_id``."""

    step: int
    traffic: dict[str, int]
    log_id: int = 0


class Checked(Event, frozen=True, kw_only=True, tag="checked"):
    """One batch was counted; it is never counted again."""

    check: Check


class Shadowed(Event, frozen=True, kw_only=True, tag="shadowed"):
    """One batch of logged requests was answered again by the candidate; it is never sent again."""

    check: ShadowCheck


class ShadowJudged(Event, frozen=True, kw_only=True, tag="shadow_judged"):
    """What the answers so far say, and what follows."""

    action: str
    verdict: Verdict


class Judged(Event, frozen=True, kw_only=True, tag="judged"):
    """What the evidence so far says, and what follows."""

    step: int
    action: str
    verdict: Verdict


class RollingBack(Event, frozen=True, kw_only=True, tag="rolling_back"):
    """Decided. The seconds to traffic restored count from this entry.

    ``forced``: a person asked for it, so the traffic goes back whoever changed it last.
    """

    reason: str
    forced: bool = False


class RolledBack(Event, frozen=True, kw_only=True, tag="rolled_back"):
    """The traffic is back; ``seconds`` after the decision."""

    reason: str
    seconds: float


class Quarantined(Event, frozen=True, kw_only=True, tag="quarantined"):
    """The candidate cannot be promoted again without an override."""

    version: str


class Promoting(Event, frozen=True, kw_only=True, tag="promoting"):
    """Every step passed; about to move the rest of the traffic and the aliases."""


class Promoted(Event, frozen=True, kw_only=True, tag="promoted"):
    """Traffic and alias are on the candidate; the champion stays deployed at 0 %."""

    version: str


class Evaluated(Event, frozen=True, kw_only=True, tag="evaluated"):
    """Post-deploy evaluation: ``passed``, ``failed`` or ``inconclusive``."""

    outcome: str
    verdict: Verdict


class Approved(Event, frozen=True, kw_only=True, tag="approved"):
    """A person lets the rollout go on from ``step``."""

    step: int
    by: str


class Ordered(Event, frozen=True, kw_only=True, tag="ordered"):
    """A person put ``to_version`` into production outside of a rollout; the only entry of its journal."""

    endpoint: str
    from_version: str
    to_version: str
    reason: str
    seconds: float


class Aborted(Event, frozen=True, kw_only=True, tag="aborted"):
    """Somebody else changed the traffic; the rollout ends and does not fight."""

    reason: str
    traffic: dict[str, int]


class Settled(Event, frozen=True, kw_only=True, tag="settled"):
    """The end: ``production`` has the alias and the traffic ('' = nothing in production)."""

    outcome: str
    production: str


AnyEvent = (
    Started
    | TrafficIntended
    | TrafficSet
    | Checked
    | Shadowed
    | ShadowJudged
    | Judged
    | RollingBack
    | RolledBack
    | Quarantined
    | Promoting
    | Promoted
    | Evaluated
    | Approved
    | Ordered
    | Aborted
    | Settled
)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An event and when it was written (seconds since 1970, UTC)."""

    number: int
    time: float
    event: AnyEvent


class RolloutJournal:
    """The entries of one rollout. ``now`` stamps them."""

    def __init__(self, engine: sa.Engine, rollout_id: str, now: Callable[[], float] = time.time) -> None:
        self.engine = engine
        self.rollout_id = rollout_id
        self._now = now

    def append(self, event: AnyEvent) -> None:
        """Write one entry; it is on disk when this returns. :class:`EvidenceError` if the warehouse refuses."""
        row = {
            "rollout": self.rollout_id,
            "time": self._now(),
            "event": event.__struct_config__.tag,
            "detail": msgspec.json.encode(event).decode(),
        }
        try:
            with self.engine.begin() as connection:
                connection.execute(rollout_journal.insert(), row)
        except sa.exc.SQLAlchemyError as error:
            raise EvidenceError(f"rollout journal cannot be written: {reason_of(error)}") from error

    def entries(self) -> list[Entry]:
        """Everything written so far, oldest first."""
        c = rollout_journal.c
        query = sa.select(c.entry, c.time, c.detail).where(c.rollout == self.rollout_id).order_by(c.entry)
        try:
            with self.engine.connect() as connection:
                rows = connection.execute(query).all()
        except sa.exc.SQLAlchemyError as error:
            raise EvidenceError(f"rollout journal cannot be read: {reason_of(error)}") from error
        return [
            Entry(number=number, time=when, event=read_event(self.rollout_id, number, text))
            for number, when, text in rows
        ]


def read_event(rollout_id: str, number: int, text: str) -> AnyEvent:
    """The event in the ``detail`` of entry ``number``; :class:`ContractError` for one of another version."""
    try:
        event: AnyEvent = msgspec.json.decode(text, type=AnyEvent)
    except msgspec.MsgspecError as error:
        raise ContractError(
            f"entry {number} of rollout {rollout_id} cannot be read: {error}; read it with the version that wrote it"
        ) from error
    return event


class LossyJournal(RolloutJournal):
    """For a rollback: what the warehouse refuses is kept in ``lost``, because the traffic cannot wait for it."""

    def __init__(self, journal: RolloutJournal) -> None:
        super().__init__(journal.engine, journal.rollout_id, journal._now)
        self.lost: list[AnyEvent] = []
        self.problem = ""

    def append(self, event: AnyEvent) -> None:
        """Write one entry, or remember that it could not be written. After the first failure none is tried."""
        if not self.problem:
            try:
                super().append(event)
                return
            except EvidenceError as error:
                self.problem = str(error)
        self.lost.append(event)
