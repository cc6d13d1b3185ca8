"""The part of a rollout before its first step: the candidate in the shadow, judged until that decides."""

from __future__ import annotations

from interlock.errors import EvidenceError
from interlock.rollout.ending import Ending, Outcome
from interlock.rollout.journal import Shadowed, ShadowJudged
from interlock.rollout.measurement import latest_log_id, watermark
from interlock.rollout.shadow import LARGEST_BATCH, Answering, ShadowLog, decide_shadow
from interlock.rollout.strategy import Action
from interlock.rollout.traffic import TrafficChanged, require_unchanged


class Shadowing(Ending):
    """A rollout that may begin in the shadow."""

    def shadow(self, candidate: Answering, log: ShadowLog) -> Outcome:
        """Let ``candidate`` answer logged requests until the comparison decides; no traffic is touched."""
        plan, origin = self.strategy.shadow, latest_log_id(self.source.engine)
        while True:
            state = self.state()
            if outcome := self._over(state):
                return outcome
            start = state.start
            if plan is None or state.shadow_passed or not start.champion_deployed:
                return Outcome.CONTINUE
            try:
                require_unchanged(state, self.ports.endpoint.read().traffic)
            except TrafficChanged as change:
                return self._abort(change)
            began, now = self.ports.clock.now(), self.ports.clock.now()
            after = state.shadow[-1].until if state.shadow else max(0, origin - plan.history_rows)
            problem = self._shadow_once(candidate, log, after, now)
            state = self.state()
            seconds = now - state.began
            business = next(metric for metric in self.source.metrics if metric.role == "business")
            cap = business.cap or max(log.cost.false_positive, log.cost.false_negative)
            decision = decide_shadow(
                plan,
                self.strategy.alpha,
                cap,
                state.shadow,
                seconds,
                on_deadline=self.strategy.on_deadline,
                problem=problem,
            )
            self.ports.journal.append(ShadowJudged(action=decision.action, verdict=decision.verdict))
            if decision.action is Action.ROLL_BACK:
                return self._roll_back(decision.verdict.reason, forced=False)
            if decision.action is Action.CONTINUE:
                return Outcome.CONTINUE
            sent = state.shadow[-1].sent if state.shadow and state.shadow[-1].until > after else 0
            spent = self.ports.clock.now() - began
            self.ports.clock.sleep(max(self.strategy.check_seconds, sent / plan.requests_per_second - spent))

    def _shadow_once(self, candidate: Answering, log: ShadowLog, after: int, now: float) -> str:
        """One batch, counted in the journal. Why there was none because something is broken, else ''."""
        plan = self.strategy.shadow
        assert plan is not None
        state, before = self.state(), now - self.source.attribution_seconds
        limit = max(1, min(LARGEST_BATCH, int(plan.requests_per_second * max(self.strategy.check_seconds, 1.0))))
        try:
            until = watermark(self.source.engine, self.source.endpoint, after=after, matured_before=before)
            rows = log.rows(state.start.champion_deployed, after=after, until=until, sample=plan.sample, limit=limit)
        except EvidenceError as error:
            return str(error)
        if rows:
            check = log.check(candidate, rows, after=after, until=rows[-1]["log_id"])
            self.ports.journal.append(Shadowed(check=check))
        return ""
