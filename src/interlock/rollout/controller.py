"""Drives one rollout, one step per process: everything it knows is in the journal and on the endpoint.

::

    begin -> shadow -> (shift -> judge)* -> promote -> evaluate -> settle -> watch*   (while a holdback remains)
               |                 |                       |                    |
               +-----------------+--- roll back <--------+--------------------+   traffic, alias, quarantine, cleanup

Each method may be called again after a crash and goes on where the journal ends. Once the rollout is over the
remaining methods do nothing and say so, so that a pipeline may call them all. ``settle`` is the exit handler.
A journal that cannot be written holds every step, and never keeps the traffic from going back.
"""

from __future__ import annotations

import msgspec

from interlock.config import PostDeploy
from interlock.errors import ConcurrentChange, EvidenceError, InputError
from interlock.registry.aliases import PREVIOUS
from interlock.rollout import postdeploy, settlement
from interlock.rollout.counts import Arm, Check
from interlock.rollout.ending import Outcome
from interlock.rollout.history import open_rollouts
from interlock.rollout.journal import Evaluated, Judged, Promoting, Settled, Started
from interlock.rollout.rescoring import Paired
from interlock.rollout.shadowing import Shadowing
from interlock.rollout.start import require_free, require_ready, require_same
from interlock.rollout.state import Phase, State
from interlock.rollout.strategy import Action, Decision, Progress, decide, shown_damage, shown_worse
from interlock.rollout.traffic import TrafficChanged, require_unchanged, set_traffic, split
from interlock.rollout.waiting import frozen, waits_for

__all__ = ["Outcome", "Rollout"]

PATIENCE = 0.002  # of a step's age: one that waits for days is not looked at every second, nor its journal so long


class Rollout(Shadowing):
    """One candidate on its way to production; a champion of '' means there is none yet (first deployment)."""

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
        self.require_free()
        self.ports.journal.append(msgspec.structs.replace(asked, previous=previous, prior=prior))
        try:
            self.require_free()  # again, for one that began at the same moment: either both see it, or one does
        except ConcurrentChange:
            self.ports.journal.append(Settled(outcome="refused", production=champion_version))
            raise

    def require_free(self) -> None:
        """:class:`ConcurrentChange` while another rollout is under way on this endpoint."""
        journal = self.ports.journal
        require_free(self.source.endpoint, journal.rollout_id, open_rollouts(journal.engine, self.source.endpoint))

    def shift(self, step: int) -> str:
        """Set the weight of ``step`` (0 = first). What happened, as text."""
        state = self.state()
        if outcome := self._over(state):
            return f"rollout is over ({outcome}): traffic not touched"
        if nothing := self._nothing_to_do(state, step):
            return nothing
        if step > 0 and step - 1 not in state.passed:
            raise EvidenceError(f"step {step - 1} has not passed: judge it before shifting to step {step}")
        while step not in state.step_began and frozen(self.strategy.freeze, self.ports.clock.now()):
            self._wait(state, step - 1)
            if outcome := self._over(state := self.state()) or self._damage(state):
                return f"rollout is over ({outcome}): traffic not touched"
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
        """Look at the evidence every ``check_seconds`` until it decides; roll back at once if it says so.

        When the journal can no longer be read, the step's deadline still counts, and then the traffic goes back.
        """
        state: State | None = None
        while True:
            try:
                state = self.state()
                if outcome := self._judge_once(state, step):
                    return outcome
            except EvidenceError as problem:
                if state is None:
                    raise
                if self._dead_too_long(state, step):
                    return self._roll_back(str(problem), forced=False, state=state)
            self._wait(state, step)

    def promote(self) -> Outcome:
        """All traffic but the holdback, and ``production``, to the candidate; the champion becomes ``previous``."""
        state = self.state()
        if outcome := self._over(state):
            return outcome
        start = state.start
        passed, steps = len(state.passed), len(self.strategy.steps)
        if start.champion_deployed and passed < steps:
            raise EvidenceError(f"{passed} of {steps} steps passed: not promoted; judge every step first")
        if state.phase is Phase.RUNNING:
            if start.champion_deployed and (outcome := self._wait_to_promote()):
                return outcome
            self.ports.journal.append(Promoting())
            state = self.state()
        kept = self.strategy.holdback if start.champion_deployed else 0
        traffic = {start.candidate_deployed: 100 - kept} | ({start.champion_deployed: kept} if kept else {})
        try:
            self._set_traffic(state, traffic, -1)
        except TrafficChanged as change:
            return self._abort(change)
        settlement.complete_promotion(self.ports, state)
        return Outcome.PROMOTED

    def evaluate(self, post_deploy: PostDeploy) -> Outcome:
        """After promotion: wait for outcomes on the new version; passed -> the old one is undeployed.

        Worse than the margin rolls back. Too little data at the deadline keeps the new version in production
        and the old one deployed; so does a holdback.
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
            if self.strategy.holdback and (worse := self._worse(state)):
                return self._roll_back(worse, forced=False)
            try:
                paired = self.source.rescored(self.ports.rescorer, state)
            except (EvidenceError, InputError) as error:
                paired, problem = Paired(), problem or str(error)
            found, verdict = postdeploy.assess(
                self.strategy,
                post_deploy,
                self.source.metrics,
                rollout=state.checks or [_before(state.start)],
                after=state.after_promotion,
                paired=paired,
                first_deployment=not state.start.champion_deployed,
                seconds=self.ports.clock.now() - state.promoted_at,
                problem=problem,
            )
            if found == "failed":
                return self._roll_back(verdict.reason, forced=False)
            warm = self.ports.clock.now() - state.promoted_at < post_deploy.keep_warm_seconds
            if found in (Outcome.PASSED, Outcome.INCONCLUSIVE) and not warm:
                if found == Outcome.PASSED and state.start.champion_deployed and not self.strategy.holdback:
                    settlement.undeploy(self.ports.endpoint, state.start.champion_deployed)
                self.ports.journal.append(Evaluated(outcome=found, verdict=verdict))
                return Outcome(found)
            self.ports.clock.sleep(self.strategy.check_seconds)

    def watch(self) -> Outcome:
        """One look at a promoted candidate while a holdback remains, after the rollout was settled too."""
        state = self.state()
        if (outcome := self._over(state)) and state.phase is not Phase.PROMOTED:
            return outcome
        if not self.strategy.holdback or split(self._traffic()) != state.traffic:
            return Outcome.INCONCLUSIVE
        problem = self.source.take(self.ports.journal, state, self.ports.clock.now())
        if worse := self._worse(self.state()):
            return self._roll_back(worse, forced=False)
        return Outcome.INCONCLUSIVE if problem else Outcome.PASSED

    def _judge_once(self, state: State, step: int) -> Outcome | None:
        """One look; None to look again."""
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
            return self._roll_back(decision.verdict.reason, forced=False, state=state)
        return Outcome.CONTINUE if decision.action is Action.CONTINUE else None

    def _damage(self, state: State) -> Outcome | None:
        """A candidate whose step has passed keeps its traffic while the next waits; None if that does no harm."""
        if not state.passed:
            return None
        self.source.take(self.ports.journal, state, self.ports.clock.now())
        checks = self.state().checks
        found = shown_damage(self.strategy, self.source.metrics, checks, state.start.prior)
        return self._roll_back(found.verdict.reason, forced=False) if found else None

    def _wait_to_promote(self) -> Outcome | None:
        """Until no freeze and no missing agreement is in the way; how the rollout ended if it did meanwhile.

        A plan with steps has its agreement by now; one without asks for it here.
        """
        last, since = len(self.strategy.steps) - 1, self.ports.clock.now()
        while True:
            state, now = self.state(), self.ports.clock.now()
            if outcome := self._over(state):
                return outcome
            reason = waits_for(self.strategy, max(last, 0), state.approved, now)
            if not reason:
                return None
            if outcome := self._damage(state):
                return outcome
            since = now if frozen(self.strategy.freeze, now) else since
            if now - since >= self.strategy.approval_seconds:
                unanswered = f"{now - since:.0f} s >= {self.strategy.approval_seconds:g} s; waits for {reason}"
                return self._roll_back(unanswered, forced=False)
            self._wait(state, last)

    def _wait(self, state: State, step: int) -> None:
        """Until it is worth looking at ``step`` again."""
        now = self.ports.clock.now()
        age = now - state.step_began.get(step, now)
        self.ports.clock.sleep(max(self.strategy.check_seconds, PATIENCE * age))

    def _dead_too_long(self, state: State, step: int) -> bool:
        seconds = self.ports.clock.now() - state.step_began[step]
        return self.strategy.on_deadline == "roll back" and seconds >= self.strategy.steps[step].deadline_seconds

    def _worse(self, state: State) -> str:
        found = shown_worse(self.strategy, self.source.metrics, state.checks, state.start.prior)
        return found.verdict.reason if found else ""

    def _look(self, state: State, step: int) -> Decision:
        now = self.ports.clock.now()
        problem = self.source.take(self.ports.journal, state, now)
        state = self.state()
        progress = Progress(
            step=step,
            seconds_in_step=now - state.step_began[step],
            candidate_requests=self.source.exposed(state),
            problem=problem,
            waits_for=waits_for(self.strategy, step, state.approved, now),
            in_freeze=frozen(self.strategy.freeze, now) is not None,
        )
        decision = decide(self.strategy, self.source.metrics, state.checks, progress, state.start.prior)
        try:
            self.ports.journal.append(Judged(step=step, action=decision.action, verdict=decision.verdict))
        except EvidenceError:
            if decision.action is not Action.ROLL_BACK:  # going on needs a record; going back does not
                raise
        return decision

    def _nothing_to_do(self, state: State, step: int) -> str:
        if not state.start.champion_deployed:
            return "first deployment: no champion to compare with"
        if step >= len(self.strategy.steps):
            return f"the plan has {len(self.strategy.steps)} steps: nothing to do in step {step}"
        return ""

    def _set_traffic(self, state: State, traffic: dict[str, int], step: int) -> None:
        engine = self.source.engine
        set_traffic(self.ports.journal, self.ports.endpoint, state, traffic, step=step, measured=engine)


def _before(start: Started) -> Check:
    """The champion before the rollout, as a check: what a promotion without steps is compared with."""
    return Check(after=0, until=0, weight=0, champion=Arm(samples=start.prior), candidate=Arm())
