"""Takes the next checks of a rollout: disjoint batches, each at one weight, each counted once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa

from interlock.config import Cost, Metric
from interlock.errors import EvidenceError
from interlock.rollout.counters import Counters, PrometheusCounters
from interlock.rollout.counts import Arm, Check, Sample
from interlock.rollout.journal import Checked, RolloutJournal
from interlock.rollout.measurement import Side, latest_log_id, measure, requests_since, watermark
from interlock.rollout.rescoring import Paired, Rescorer, rescore
from interlock.rollout.state import State, Stretch
from interlock.rollout.users import measure_users

PRIOR_ROWS = 20_000
LEAST_SECONDS = 1.0  # counters of other systems are not looked at more often


class Source:
    """The serving log of one endpoint, with the metrics that are counted in it.

    ``attribution_seconds``: age at which a request's outcome must have arrived. ``settling_seconds``: rows logged
    within that time after a new split are in no check. ``counters``: where metrics of value ``counter`` are read.
    ``user_key``: the field that names the user, where users are the unit; else ''. ``covariate``: the field within
    whose values requests are compared; else ''.
    """

    def __init__(
        self,
        engine: sa.Engine,
        endpoint: str,
        metrics: Sequence[Metric],
        cost: Cost,
        attribution_seconds: float,
        settling_seconds: float = 0.0,
        counters: Counters | None = None,
        user_key: str = "",
        covariate: str = "",
    ) -> None:
        self.engine = engine
        self.endpoint = endpoint
        self.metrics = list(metrics)
        self.cost = cost
        self.attribution_seconds = attribution_seconds
        self.settling_seconds = settling_seconds
        self.counters = counters or PrometheusCounters()
        self.user_key = user_key
        self.covariate = covariate

    def prior(self, champion_deployed: str) -> dict[str, Sample]:
        """The champion's counts in the latest rows before the rollout."""
        last = latest_log_id(self.engine)
        first = max(0, last - PRIOR_ROWS)
        arms: dict[str, Side] = {champion_deployed: "champion"}
        check = measure(
            self.engine,
            self.endpoint,
            arms,
            after=first,
            until=last,
            weight=0,
            metrics=self.metrics,
            cost=self.cost,
        )
        if self.user_key and check.requests:
            check = self._by_user(check, arms, first, {})
        return check.champion.samples

    def take(self, journal: RolloutJournal, state: State, now: float) -> str:
        """Count every batch whose outcomes have matured, and journal it. Why it could not, else ''."""
        try:
            self._take(journal, state, now - self.attribution_seconds)
        except EvidenceError as error:
            return str(error)
        return ""

    def rescored(self, rescorer: Rescorer, state: State) -> Paired:
        """Costs of candidate and champion on the same requests since the promotion, as far as they are counted."""
        start, after = state.start, state.after_promotion
        priced = any(metric.value == "cost" for metric in self.metrics)
        if not start.champion_deployed or not after or not priced:
            return Paired()
        return rescore(
            self.engine,
            rescorer,
            endpoint=self.endpoint,
            deployed_model_id=start.candidate_deployed,
            champion=start.champion_version,
            after=after[0].after,
            until=after[-1].until,
            cost=self.cost,
        )

    def exposed(self, state: State) -> int:
        """Requests the candidate has had since it first got traffic, matured or not."""
        counted = sum(check.candidate.requests for check in (*state.checks, *state.after_promotion))
        if not state.stretches:
            return counted
        try:
            first = state.stretches[0].after
            return requests_since(self.engine, self.endpoint, state.start.candidate_deployed, after=first)
        except EvidenceError:  # the broken source has its own verdict; this is only a limit
            return counted

    def _take(self, journal: RolloutJournal, state: State, matured_before: float) -> None:
        start = state.start
        arms: dict[str, Side] = {start.candidate_deployed: "candidate"}
        if start.champion_deployed:
            arms[start.champion_deployed] = "champion"
        for stretch in state.stretches:
            after = max(stretch.after, state.counted_until)
            if self.settling_seconds and stretch.after >= state.counted_until:
                settled = stretch.began + self.settling_seconds
                after = watermark(self.engine, self.endpoint, after=after, matured_before=settled)
            if stretch.until is not None and stretch.until <= after:
                continue
            matured = watermark(self.engine, self.endpoint, after=after, matured_before=matured_before)
            until = matured if stretch.until is None else min(matured, stretch.until)
            check = measure(
                self.engine,
                self.endpoint,
                arms,
                after=after,
                until=until,
                weight=stretch.weight,
                metrics=self.metrics,
                cost=self.cost,
                covariate=self.covariate,
            )
            if self.user_key and check.requests:
                check = self._by_user(check, arms, _users_since(state, stretch, after), start.prior)
            if check.requests:
                check = self._with_counters(check, state, stretch, matured_before)
                journal.append(Checked(check=check))
            if stretch.until is None or matured < stretch.until:
                return  # later stretches hold only younger rows

    def _by_user(self, check: Check, arms: Mapping[str, Side], since: int, prior: Mapping[str, Sample]) -> Check:
        """The same check with its metrics summed by user, over everything after ``since``."""
        counted = measure_users(
            self.engine,
            self.endpoint,
            list(arms),
            user_key=self.user_key,
            since=since,
            until=check.until,
            metrics=self.metrics,
            cost=self.cost,
            prior=prior,
        )
        sides: dict[str, Arm] = {"champion": check.champion, "candidate": check.candidate}
        changed = {
            arms[deployed]: msgspec.structs.replace(sides[arms[deployed]], users=found.users, samples=found.samples)
            for deployed, found in counted.items()
        }
        return msgspec.structs.replace(check, users_since=since, **changed)

    def _with_counters(self, check: Check, state: State, stretch: Stretch, matured_before: float) -> Check:
        """The same check with what other systems counted since the last one, at the same weight."""
        metrics = [metric for metric in self.metrics if metric.value == "counter"]
        counted_to = max((earlier.counted_to for earlier in (*state.checks, *state.after_promotion)), default=0.0)
        since = max(counted_to, stretch.began + self.settling_seconds)
        until = min(matured_before, stretch.ended)
        if not metrics or until - since < LEAST_SECONDS:
            return check
        start = state.start
        arms = {"candidate": (check.candidate, start.candidate_deployed, start.candidate_version)}
        if start.champion_deployed:
            arms["champion"] = (check.champion, start.champion_deployed, start.champion_version)
        counted = {}
        for name, (arm, deployed, version) in arms.items():
            samples = {
                metric.name: self.counters.sample(
                    metric, deployed_model_id=deployed, version=version, since=since, until=until
                )
                for metric in metrics
            }
            counted[name] = msgspec.structs.replace(arm, samples={**arm.samples, **samples})
        return msgspec.structs.replace(check, counted_to=until, **counted)


def _users_since(state: State, stretch: Stretch, after: int) -> int:
    """Where the step's users are counted from: what its first check began with, else ``after``."""
    earlier = (check.users_since for check in (*state.checks, *state.after_promotion))
    return next((since for since in earlier if since is not None and since >= stretch.after), after)
