"""What a plan would do before anything ships: simulated rollouts on the metrics' own recent history.

Each simulated rollout draws its requests from the champion's counts, gives the candidate an effect on every
business metric, and is judged by the same evidence as a real one: harm of all metrics together, non-inferiority of
each business metric, minimum requests, deadlines. Simplified: looks grow apart by ``GROWTH`` within a step, metrics
are drawn independently, and the traffic is even. Validity comes from the evidence, not from here; this says how
long it takes and what it costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from interlock.config import Metric, Strategy
from interlock.errors import InputError
from interlock.progress import Say, silent
from interlock.rollout import evidence
from interlock.rollout.counts import Sample
from interlock.rollout.evidence import Floats, Levels, Prior, Strata
from interlock.rollout.plan_warnings import impossible, unlikely

GROWTH = 1.15
EFFECTS = (0.05, 0.1, 0.2, 0.5)
DETECTABLE = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0)
POWER = 0.8
LEAST = 1e-9  # for what must not be 0


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """Of all rollouts with one ``effect`` (0.1 = business metrics 10 % worse: 10 % more cost, or 10 % less revenue):
    shares, and medians of those.

    ``undecided`` came to a deadline without a verdict. ``exposed``: mean candidate requests before the end.
    """

    effect: float
    rolled_back: float
    promoted: float
    undecided: float
    requests: float
    hours: float
    exposed: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. Shares are of ``runs`` simulated rollouts; their error is about 1 / sqrt(runs)."""

    runs: int
    requests_per_second: float
    false_rollback: float
    false_promotion: float
    promotes: float
    requests_to_promote: float
    hours_to_promote: float
    effects: list[Ended]
    smallest_detectable: float | None
    warnings: list[str]


def simulate(
    strategy: Strategy,
    metrics: Sequence[Metric],
    history: Mapping[str, Sample],
    *,
    requests_per_second: float,
    runs: int = 200,
    seed: int = 1,
    say: Say = silent,
) -> Plan:
    """Simulate ``strategy``. ``history``: the champion's recent counts by metric."""
    if not strategy.steps:
        raise InputError(f"a {strategy.kind} rollout has no steps: there is nothing to simulate")
    for metric in metrics:
        if history.get(metric.name, Sample()).n == 0:
            raise InputError(f"metric {metric.name} has no history: let traffic flow first, or declare it with --rate")
    made = _Simulator(strategy, metrics, history, requests_per_second, say)
    sound = made.run(0.0, runs, seed)
    margin = made.run(strategy.steps[-1].margin, runs, seed + 1, own_margins=True)
    effects = [made.run(effect, runs, seed + 2) for effect in EFFECTS]
    found = next(
        (e for e in DETECTABLE if made.run(e, max(runs // 4, 20), seed + 3).rolled_back >= POWER),
        None,
    )
    return Plan(
        runs=runs,
        requests_per_second=requests_per_second,
        false_rollback=sound.rolled_back,
        false_promotion=margin.promoted,
        promotes=sound.promoted,
        requests_to_promote=sound.requests,
        hours_to_promote=sound.hours,
        effects=effects,
        smallest_detectable=found,
        warnings=[
            *impossible(strategy, requests_per_second),
            *unlikely(strategy.steps[-1].margin, sound.promoted, sound.undecided, found, POWER),
        ],
    )


class _Simulator:
    def __init__(
        self, strategy: Strategy, metrics: Sequence[Metric], history: Mapping[str, Sample], per_second: float, say: Say
    ) -> None:
        self.say = say
        self.strategy, self.metrics, self.history, self.per_second = strategy, metrics, history, per_second
        self.batches = [_batches(strategy, index, per_second) for index in range(len(strategy.steps))]
        self.looks = [len(batches) for batches in self.batches]
        self.padded = np.array([batches + [1] * (max(self.looks) - len(batches)) for batches in self.batches])

    def run(self, effect: float, runs: int, seed: int, *, own_margins: bool = False) -> Ended:
        """Business metrics worse by ``effect``, or where ``own_margins`` by the margin that a metric has itself."""
        self.say(f"simulating {runs} rollouts of a candidate {effect:.0%} worse")
        random = np.random.default_rng(seed)
        step, look = np.zeros(runs, dtype=int), np.zeros(runs, dtype=int)
        outcome = np.full(runs, "", dtype="<U11")
        total, exposed, seconds = np.zeros(runs), np.zeros(runs), np.zeros(runs)
        columns = sum(self.looks)
        drawn = {m.name: _Drawn.empty(runs, columns, self._values(m)) for m in self.metrics}
        share = np.zeros((runs, columns))
        for k in range(columns):
            live = np.flatnonzero(outcome == "")
            if len(live) == 0:
                break
            weight = np.array([s.weight for s in self.strategy.steps])[step[live]] / 100
            batch = self.padded[step[live], look[live]]
            n_c = random.binomial(batch, weight)
            share[live, k] = weight
            for metric in self.metrics:
                probabilities = self._probabilities(metric)
                by = metric.margin if own_margins and metric.margin is not None else effect
                worse = _worsened(metric, probabilities, by if metric.role == "business" else 0.0)
                drawn[metric.name].candidate[live, k] = random.multinomial(n_c, worse)
                drawn[metric.name].champion[live, k] = random.multinomial(batch - n_c, probabilities)
            total[live] += batch
            exposed[live] += n_c
            seconds[live] += batch / self.per_second
            look[live] += 1
            self._decide(live, k, step, look, outcome, drawn, share)
        seconds += self.strategy.attribution_seconds * (step + 1)
        ended = outcome != ""
        promoted = outcome == "promoted"
        which = promoted if promoted.any() else ended
        return Ended(
            effect=effect,
            rolled_back=float((outcome == "rolled back").mean()),
            promoted=float(promoted.mean()),
            undecided=float((outcome == "undecided").mean()),
            requests=float(np.median(total[which])) if which.any() else math.nan,
            hours=float(np.median(seconds[which]) / 3600) if which.any() else math.nan,
            exposed=float(exposed.mean()),
        )

    def _decide(
        self,
        live: npt.NDArray[Any],
        k: int,
        step: npt.NDArray[Any],
        look: npt.NDArray[Any],
        outcome: npt.NDArray[Any],
        drawn: Mapping[str, _Drawn],
        share: Floats,
    ) -> None:
        limit = -math.log(self.strategy.alpha)
        now = slice(0, k + 1)
        harm = np.array([self._harm(m, drawn[m.name], share, live, now) for m in self.metrics])
        weights = np.array([m.weight for m in self.metrics])
        together = np.log(np.exp(np.minimum(harm, 500).T) @ (weights / weights.sum()))
        back = together >= limit
        sound = np.ones(len(live), dtype=bool)
        for index, one in enumerate(self.strategy.steps):
            mine = step[live] == index
            if not mine.any():
                continue
            for metric in self.metrics:
                if metric.role == "business":
                    shown = self._noninferiority(metric, drawn[metric.name], live[mine], now, one.margin)
                    sound[mine] &= shown >= limit
            sound[mine] &= np.cumsum(self.padded[index])[look[live[mine]] - 1] >= one.minimum_requests
        outcome[live[back]] = "rolled back"
        on = live[~back & sound]
        last = len(self.strategy.steps) - 1
        outcome[on[step[on] == last]] = "promoted"
        over = live[~back & ~sound]
        if self.strategy.on_deadline == "roll back":
            outcome[over[look[over] >= np.array(self.looks)[step[over]]]] = "undecided"
        onward = on[step[on] < last]
        step[onward] += 1
        look[onward] = 0

    def _harm(self, metric: Metric, drawn: _Drawn, share: Floats, live: npt.NDArray[Any], now: slice) -> Floats:
        if metric.is_mean and not metric.up:
            levels = Levels(drawn.values, drawn.candidate[live, now], drawn.champion[live, now], share[live, now])
            result: Floats = evidence.betting_harm(levels, metric.cap or drawn.values[-1], self.history[metric.name])
        elif metric.is_mean:
            scale = self._scale(metric)
            result = evidence.mean_harm(drawn.strata(live, now), scale, self.strategy.alpha, up=True)
        else:
            result = evidence.rate_harm(drawn.strata(live, now))
        last: Floats = result[:, -1]
        return last

    def _noninferiority(
        self, metric: Metric, drawn: _Drawn, live: npt.NDArray[Any], now: slice, margin: float
    ) -> Floats:
        s, scale = drawn.strata(live, now), self._scale(metric)
        margin = margin if metric.margin is None else metric.margin
        if metric.is_mean:
            result = evidence.mean_noninferiority(s, margin, scale, self.strategy.alpha, up=metric.up)
        else:
            result = evidence.rate_noninferiority(s, margin, scale.mean, up=metric.up)
        last: Floats = result[:, -1]
        return last

    def _scale(self, metric: Metric) -> Prior:
        """As the rollout takes it; where it has none yet, one that lets the simulation go on."""
        sample = self.history[metric.name]
        mean = max(sample.mean, LEAST)
        mean = mean if metric.is_mean else min(mean, 1 - LEAST)
        return evidence.prior_of(sample) or Prior(mean, max(math.sqrt(sample.variance), LEAST))

    def _values(self, metric: Metric) -> Floats:
        return np.array([0.0, *sorted(self._levels(metric))])

    def _levels(self, metric: Metric) -> dict[float, float]:
        """How often each value came; where they were not counted, one value with the same mean and variance."""
        sample = self.history[metric.name]
        if sample.levels and sample.has_levels:
            return {value: float(count) for value, count in sample.levels.items()}
        return {sample.squares / sample.total: sample.total**2 / sample.squares} if sample.total else {1.0: 0.0}

    def _probabilities(self, metric: Metric) -> Floats:
        levels, n = self._levels(metric), self.history[metric.name].n
        shares = np.array([levels[value] / n for value in sorted(levels)])
        return np.concatenate([[1 - shares.sum()], shares])


class _Drawn(msgspec.Struct):
    """Counts by run, look and value (last axis), 0 first."""

    values: Floats
    candidate: Floats
    champion: Floats

    @classmethod
    def empty(cls, runs: int, looks: int, values: Floats) -> _Drawn:
        shape = (runs, looks, len(values))
        return cls(values, np.zeros(shape), np.zeros(shape))

    def strata(self, live: npt.NDArray[Any], now: slice) -> Strata:
        c, b, v = self.candidate[live, now], self.champion[live, now], self.values
        n_c, n_b = np.maximum(c.sum(-1), 1), np.maximum(b.sum(-1), 1)
        return Strata(n_c, n_b, c @ v, b @ v, c @ v**2, b @ v**2, b[..., 1:].sum(-1))


def _batches(strategy: Strategy, index: int, per_second: float) -> list[int]:
    """Requests between the looks of a step, until its deadline; at least one look."""
    step = strategy.steps[index]
    left = per_second * max(step.deadline_seconds - strategy.attribution_seconds, 0.0)
    size, found = max(per_second * strategy.check_seconds, step.minimum_requests / 5), []
    while left >= 1:
        found.append(int(min(max(size, 1), left)))
        left -= found[-1]
        size *= GROWTH
    return found or [1]


def _worsened(metric: Metric, probabilities: Floats, effect: float) -> Floats:
    """Every non-zero value ``effect`` more often, at most always; of what is better when higher, less often."""
    nonzero = probabilities[1:]
    if not metric.up:
        nonzero = nonzero * min(1 + effect, 1 / max(nonzero.sum(), 1e-12))
    elif metric.is_mean:
        nonzero = nonzero * max(1 - effect, 0.0)
    else:  # a rate counts the bad ones, and the good ones become fewer
        nonzero = 1 - (1 - nonzero) * max(1 - effect, 0.0)
    result: Floats = np.concatenate([[max(1 - nonzero.sum(), 0.0)], nonzero])
    return result
