"""Journals of rollouts as they would be written down, from simulated requests; the decisions are the strategy's own."""

from __future__ import annotations

import numpy as np

from interlock.config import Config
from interlock.contracts import Verdict, VerdictKind
from interlock.report import RolloutReport
from interlock.rollout.counts import Arm, Check, Sample
from interlock.rollout.journal import (
    AnyEvent,
    Checked,
    Entry,
    Evaluated,
    Judged,
    Promoted,
    Promoting,
    Quarantined,
    RolledBack,
    RollingBack,
    Settled,
    Started,
    TrafficIntended,
    TrafficSet,
)
from interlock.rollout.strategy import Action, Progress, decide

BEGAN = 1_760_000_000.0


class Simulation:
    """Journals one rollout against simulated traffic; the decisions are the strategy's own."""

    def __init__(self, config: Config, *, champion: str, candidate: str, miss: float, seed: int) -> None:
        self.config, self.miss = config, miss
        self.champion, self.candidate = champion, candidate
        self.random = np.random.default_rng(seed)
        self.time, self.log_id, self.served = BEGAN, 40_000, 0
        self.entries: list[Entry] = []
        self.checks: list[Check] = []

    def write(self, event: AnyEvent) -> None:
        self.entries.append(Entry(number=len(self.entries) + 1, time=self.time, event=event))

    def set_traffic(self, weight: int, step: int) -> None:
        traffic = {f"d{self.champion}": 100 - weight, f"d{self.candidate}": weight}
        traffic = {name: percent for name, percent in traffic.items() if percent}
        self.write(TrafficIntended(step=step, traffic=traffic, log_id=self.log_id))
        self.time += 0.12
        self.write(TrafficSet(step=step, traffic=traffic, log_id=self.log_id))

    def arm(self, n: int, miss: float) -> Arm:
        """0.09 of all flights get a needless warning (cost 1), ``miss`` of them a missed delay (cost 5)."""
        errors, slow = int(self.random.binomial(n, 0.0005)), int(self.random.binomial(n, 0.004))
        vain, missed = self.random.binomial(n - errors, 0.09), self.random.binomial(n - errors, miss)
        cost = Sample(
            n=n - errors,
            nonzero=int(vain + missed),
            total=float(vain + 5 * missed),
            squares=float(vain + 25 * missed),
            levels={1.0: int(vain), 5.0: int(missed)},
        )
        return Arm(
            requests=n,
            answered=n - errors,
            failed=errors,
            with_outcome=n - errors,
            samples={
                "cost_per_flight": cost,
                "error_rate": Sample(n=n, nonzero=errors, total=errors, squares=errors),
                "slow_share": Sample(n=n - errors, nonzero=slow, total=slow, squares=slow),
            },
        )

    def check(self, weight: int) -> Check:
        n = int(self.random.poisson(420))
        mine = int(self.random.binomial(n, weight / 100))
        found = Check(
            after=self.log_id,
            until=self.log_id + n,
            weight=weight,
            champion=self.arm(n - mine, 0.05),
            candidate=self.arm(mine, self.miss),
        )
        self.log_id += n
        self.served += mine
        self.write(Checked(check=found))
        return found

    def start(self) -> None:
        prior = {name: self.arm(20_000, 0.05).sample(name) for name in ("cost_per_flight",)}
        self.write(
            Started(
                endpoint="flights",
                champion_version=self.champion,
                candidate_version=self.candidate,
                champion_deployed=f"d{self.champion}" if self.champion else "",
                candidate_deployed=f"d{self.candidate}",
                traffic={f"d{self.champion}": 100} if self.champion else {},
                prior=prior if self.champion else {},
            )
        )
        self.time += 0.4

    def run(self) -> str:
        """The whole rollout; how it ended."""
        self.start()
        for step, plan in enumerate(self.config.strategy.steps if self.champion else []):
            self.set_traffic(plan.weight, step)
            began = self.time
            while True:
                self.time += self.config.strategy.check_seconds
                self.checks.append(self.check(plan.weight))
                progress = Progress(step=step, seconds_in_step=self.time - began, candidate_requests=self.served)
                decision = decide(self.config.strategy, self.config.metrics, self.checks, progress, self._prior())
                self.write(Judged(step=step, action=decision.action, verdict=decision.verdict))
                if decision.action is Action.ROLL_BACK:
                    return self.roll_back(decision.verdict.reason)
                if decision.action is Action.CONTINUE:
                    break
        return self.promote()

    def _prior(self) -> dict[str, Sample]:
        started = self.entries[0].event
        assert isinstance(started, Started)
        return started.prior

    def promote(self) -> str:
        self.write(Promoting())
        self.set_traffic(100, -1)
        self.write(Promoted(version=self.candidate))
        for _ in range(6):
            self.time += self.config.strategy.check_seconds
            self.check(100)
        verdict = Verdict(
            kind=VerdictKind.HEALTHY,
            metric="",
            reason="2512 requests with outcome >= 2000, no metric shown worse than +30%",
            requests=2512,
            candidate_requests=2512,
        )
        self.write(Evaluated(outcome="passed", verdict=verdict))
        self.write(Settled(outcome="promoted", production=self.candidate))
        return "promoted"

    def roll_back(self, reason: str) -> str:
        self.write(RollingBack(reason=reason))
        self.set_traffic(0, -1)
        self.write(RolledBack(reason=reason, seconds=0.12))
        self.time += 0.6
        self.write(Quarantined(version=self.candidate))
        self.write(Settled(outcome="rolled back", production=self.champion))
        return "rolled back"

    def report(self, title: str) -> RolloutReport:
        outcome = self.run()
        return RolloutReport(
            title=title,
            rollout_id=f"flights-{self.candidate}-1",
            candidate=self.candidate,
            champion=self.champion,
            outcome=outcome,
            entries=self.entries,
            strategy=self.config.strategy,
            metrics=self.config.metrics,
            candidate_requests=self.served,
            seconds_to_restore=0.12 if outcome == "rolled back" else None,
        )
