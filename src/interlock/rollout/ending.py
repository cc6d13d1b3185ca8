"""How a rollout comes to its end: rolled back, aborted, settled. The controller's other half."""

from __future__ import annotations

from enum import StrEnum

from interlock.config import Strategy
from interlock.errors import EvidenceError
from interlock.registry.aliases import PRODUCTION
from interlock.rollout import emergency, settlement
from interlock.rollout.checks import Source
from interlock.rollout.journal import Aborted, Settled
from interlock.rollout.rollback import roll_back
from interlock.rollout.settlement import Ports, Settlement
from interlock.rollout.state import Phase, State, fold
from interlock.rollout.traffic import TrafficChanged, require_unchanged, split


class Outcome(StrEnum):
    """What a step tells the pipeline. Only ``continue`` and ``promoted`` go on."""

    CONTINUE = "continue"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    ABORTED = "aborted"
    INCONCLUSIVE = "inconclusive"
    PASSED = "passed"


_OVER = {
    Phase.PROMOTED: Outcome.PROMOTED,
    Phase.ROLLED_BACK: Outcome.ROLLED_BACK,
    Phase.ABORTED: Outcome.ABORTED,
}


class Ending:
    """State of one rollout, read afresh from its journal each time, and the ways out of it."""

    def __init__(self, ports: Ports, source: Source, strategy: Strategy) -> None:
        self.ports = ports
        self.source = source
        self.strategy = strategy
        self.journal_problem = ""  # what a rollback could not write down

    def state(self) -> State:
        """Where the rollout stands, read afresh."""
        return fold(self.ports.journal.entries())

    def roll_back(self, reason: str) -> Outcome:
        """A person's order: back to the champion at once, in any phase, whoever changed the traffic last."""
        return self._roll_back(reason, forced=True)

    def settle(self) -> Settlement:
        """End the rollout, whatever happened: traffic and ``production`` agree when this returns.

        With a journal that cannot be read, the traffic follows the alias, which every rollout moves last.
        """
        try:
            return self._settle_by_journal()
        except EvidenceError as problem:
            production = emergency.agree(self.ports.endpoint, self.ports.registry)
            return Settlement(
                outcome="unknown", production=production, traffic=self._traffic(), journal_problem=str(problem)
            )

    def _settle_by_journal(self) -> Settlement:
        state = self.state()
        if state.started is None:
            production = self.ports.registry.version_with(PRODUCTION) or ""
            return Settlement(outcome=Phase.NOT_STARTED, production=production, traffic=self._traffic())
        if state.settled is None:
            self.ports.journal.append(self._settle(state))
            state = self.state()
        assert state.settled is not None
        return Settlement(outcome=state.settled.outcome, production=state.settled.production, traffic=self._traffic())

    def _settle(self, state: State) -> Settled:
        start = state.start
        try:
            if state.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK):
                roll_back(self.ports, state, "", forced=False)
                return Settled(outcome=Phase.ROLLED_BACK, production=start.champion_version)
            if state.phase is Phase.PROMOTED:
                require_unchanged(state, self._traffic())
                settlement.complete_promotion(self.ports, state)
                return Settled(outcome=Phase.PROMOTED, production=start.candidate_version)
            if state.phase is not Phase.ABORTED:
                settlement.withdraw(self.ports, state)
                return Settled(outcome="withdrawn", production=start.champion_version)
        except TrafficChanged as change:
            self._abort(change)
        return Settled(outcome=Phase.ABORTED, production=settlement.follow_traffic(self.ports, state))

    def _roll_back(self, reason: str, *, forced: bool, state: State | None = None) -> Outcome:
        """From ``state``, as last read; None reads it."""
        try:
            self.journal_problem = roll_back(self.ports, state or self.state(), reason, forced=forced)
        except TrafficChanged as change:
            return self._abort(change)
        return Outcome.ROLLED_BACK

    def _over(self, state: State) -> Outcome | None:
        """How the rollout ended; a rollback that was cut short is finished first."""
        if state.phase is Phase.ROLLING_BACK:
            return self._roll_back("", forced=False)
        if state.settled is not None and state.phase not in _OVER:
            return Outcome.ABORTED  # withdrawn
        return _OVER.get(state.phase)

    def _abort(self, change: TrafficChanged) -> Outcome:
        state = self.state()
        if change.found in (state.traffic, state.intended) and (outcome := self._over(state)):
            return outcome  # not a stranger: another process of this rollout, for instance a rollback by hand
        self.ports.journal.append(Aborted(reason=str(change), traffic=change.found))
        return Outcome.ABORTED

    def _traffic(self) -> dict[str, int]:
        return split(self.ports.endpoint.read().traffic)
