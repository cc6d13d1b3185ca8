"""Drives one rollout, one step per process: everything it knows is in the journal and on the endpoint.

::

    begin -> (shift -> judge)* -> promote -> evaluate -> settle
                        |                       |
                        +--- roll back <--------+      traffic, alias, quarantine, cleanup

Each method may be called again after a crash and goes on where the journal ends. Once the rollout is over the
remaining methods do nothing and say so, so that a pipeline may call them all. ``settle`` is the exit handler.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from interlock.config import PostDeploy, Strategy
from interlock.errors import EvidenceError, InputError
from interlock.registry.aliases import PREVIOUS, PRODUCTION
from interlock.rollout import postdeploy, settlement
from interlock.rollout.checks import Source
from interlock.rollout.journal import Aborted, Evaluated, Judged, Promoting, RollingBack, Settled, Started
from interlock.rollout.rescoring import Paired
from interlock.rollout.settlement import Ports, Settlement
from interlock.rollout.start import require_ready, require_same
from interlock.rollout.state import Phase, State, fold
from interlock.rollout.strategy import Action, Decision, Progress, decide
from interlock.rollout.traffic import TrafficChanged, require_unchanged, set_traffic, split


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


class Rollout:
    """One candidate on its way to production; a champion of '' means there is none yet (first deployment)."""

    def __init__(self, ports: Ports, source: Source, strategy: Strategy) -> None:
        self.ports = ports
        self.source = source
        self.strategy = strategy

    def state(self) -> State:
        """Where the rollout stands, read afresh."""
        return fold(self.ports.journal.entries())

    def begin(
        self, champion_version: str, candidate_version: str, champion_deployed: str, candidate_deployed: str
    ) -> None:
        """Start, with both versions deployed and all traffic on the champion. Repeating it has no effect."""
        found = self.ports.endpoint.read()
        asked = Started(
            endpoint=self.source.endpoint,
            champion_version=champion_version,
            candidate_version=candidate_version,
            champion_deployed=champion_deployed,
            candidate_deployed=candidate_deployed,
            traffic=split(found.traffic),
        )
        if (started := self.state().started) is not None:
            require_same(started, asked)
            return
        require_ready(asked, found.versions)
        prior = self.source.prior(champion_deployed) if champion_deployed else {}
        previous = self.ports.registry.version_with(PREVIOUS) or ""
        self.ports.journal.append(msgspec.structs.replace(asked, previous=previous, prior=prior))

    def shift(self, step: int) -> str:
        """Set the weight of ``step`` (0 = first). What happened, as text."""
        state = self.state()
        if outcome := self._over(state):
            return f"rollout is over ({outcome}): traffic not touched"
        if nothing := self._nothing_to_do(state, step):
            return nothing
        if step > 0 and step - 1 not in state.passed:
            raise EvidenceError(f"step {step - 1} has not passed: judge it before shifting to step {step}")
        weight, start = self.strategy.steps[step].weight, state.start
        if step in state.step_began:
            return f"candidate already had its {weight} % in step {step}"
        traffic = {start.champion_deployed: 100 - weight, start.candidate_deployed: weight}
        try:
            self._set_traffic(state, traffic, step)
        except TrafficChanged as change:
            return f"rollout is over ({self._abort(change)}): {change}"
        return f"candidate {start.candidate_version} gets {weight} %"

    def judge(self, step: int) -> Outcome:
        """Look at the evidence every ``check_seconds`` until it decides; roll back at once if it says so."""
        while True:
            state = self.state()
            if outcome := self._over(state):
                return outcome
            if step in state.passed or self._nothing_to_do(state, step):
                return Outcome.CONTINUE
            if step not in state.step_began:
                raise InputError(f"step {step} has no traffic yet: shift to it before judging it")
            try:
                require_unchanged(state, self.ports.endpoint.read().traffic)
            except TrafficChanged as change:
                return self._abort(change)
            decision = self._look(state, step)
            if decision.action is Action.ROLL_BACK:
                return self._roll_back(decision.verdict.reason, forced=False)
            if decision.action is Action.CONTINUE:
                return Outcome.CONTINUE
            self.ports.clock.sleep(self.strategy.check_seconds)

    def promote(self) -> Outcome:
        """All traffic and ``production`` to the candidate; the champion becomes ``previous``, at 0 %."""
        state = self.state()
        if outcome := self._over(state):
            return outcome
        start = state.start
        passed, steps = len(state.passed), len(self.strategy.steps)
        if start.champion_deployed and passed < steps:
            raise EvidenceError(f"{passed} of {steps} steps passed: not promoted; judge every step first")
        if state.phase is Phase.RUNNING:
            self.ports.journal.append(Promoting())
            state = self.state()
        try:
            self._set_traffic(state, {start.candidate_deployed: 100}, -1)
        except TrafficChanged as change:
            return self._abort(change)
        settlement.complete_promotion(self.ports, state)
        return Outcome.PROMOTED

    def evaluate(self, post_deploy: PostDeploy) -> Outcome:
        """After promotion: wait for outcomes on the new version; passed -> the old one is undeployed.

        Worse than the margin rolls back. Too little data at the deadline keeps the new version in production
        and the old one deployed.
        """
        while True:
            state = self.state()
            if state.phase is not Phase.PROMOTED:
                if outcome := self._over(state):
                    return outcome
                raise InputError("candidate is not promoted: nothing to evaluate yet")
            if state.evaluated:
                return Outcome(state.evaluated)
            try:
                require_unchanged(state, self.ports.endpoint.read().traffic)
            except TrafficChanged as change:
                return self._abort(change)
            problem = self.source.take(self.ports.journal, state, self.ports.clock.now())
            state = self.state()
            try:
                paired = self.source.rescored(self.ports.rescorer, state)
            except (EvidenceError, InputError) as error:
                paired, problem = Paired(), problem or str(error)
            found, verdict = postdeploy.assess(
                self.strategy,
                post_deploy,
                self.source.metrics,
                rollout=state.checks,
                after=state.after_promotion,
                paired=paired,
                first_deployment=not state.start.champion_deployed,
                seconds=self.ports.clock.now() - state.promoted_at,
                problem=problem,
            )
            if found == "failed":
                return self._roll_back(verdict.reason, forced=False)
            if found in (Outcome.PASSED, Outcome.INCONCLUSIVE):
                if found == Outcome.PASSED and state.start.champion_deployed:
                    settlement.undeploy(self.ports.endpoint, state.start.champion_deployed)
                self.ports.journal.append(Evaluated(outcome=found, verdict=verdict))
                return Outcome(found)
            self.ports.clock.sleep(self.strategy.check_seconds)

    def roll_back(self, reason: str) -> Outcome:
        """A person's order: back to the champion at once, in any phase, whoever changed the traffic last."""
        return self._roll_back(reason, forced=True)

    def settle(self) -> Settlement:
        """End the rollout, whatever happened: traffic and ``production`` agree when this returns."""
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
                settlement.complete_rollback(self.ports, state)
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

    def _look(self, state: State, step: int) -> Decision:
        now = self.ports.clock.now()
        problem = self.source.take(self.ports.journal, state, now)
        state = self.state()
        progress = Progress(
            step=step,
            seconds_in_step=now - state.step_began[step],
            candidate_requests=self.source.exposed(state),
            problem=problem,
        )
        decision = decide(self.strategy, self.source.metrics, state.checks, progress, state.start.prior)
        self.ports.journal.append(Judged(step=step, action=decision.action, verdict=decision.verdict))
        return decision

    def _roll_back(self, reason: str, *, forced: bool) -> Outcome:
        state = self.state()
        settlement.require_champion(self.ports.endpoint, state.start)
        if forced or state.phase not in (Phase.ROLLING_BACK, Phase.ROLLED_BACK):
            self.ports.journal.append(RollingBack(reason=reason, forced=forced))
            state = self.state()
        try:
            settlement.complete_rollback(self.ports, state)
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

    def _nothing_to_do(self, state: State, step: int) -> str:
        if not state.start.champion_deployed:
            return "first deployment: no champion to compare with"
        if step >= len(self.strategy.steps):
            return f"the plan has {len(self.strategy.steps)} steps: nothing to do in step {step}"
        return ""

    def _set_traffic(self, state: State, traffic: dict[str, int], step: int) -> None:
        engine = self.source.engine
        set_traffic(self.ports.journal, self.ports.endpoint, state, traffic, step=step, measured=engine)

    def _abort(self, change: TrafficChanged) -> Outcome:
        state = self.state()
        if change.found in (state.traffic, state.intended) and (outcome := self._over(state)):
            return outcome  # not a stranger: another process of this rollout, for instance a rollback by hand
        self.ports.journal.append(Aborted(reason=str(change), traffic=change.found))
        return Outcome.ABORTED

    def _traffic(self) -> dict[str, int]:
        return split(self.ports.endpoint.read().traffic)
