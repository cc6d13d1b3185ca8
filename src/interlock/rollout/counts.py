"""What one check counts: sufficient statistics per arm and metric, from the database to the evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one arm: ``n`` values, how many are not zero, their sum and their sum of squares.

    For a rate, ``total`` and ``nonzero`` are both the number of bad requests. ``levels`` counts the non-zero
    values one by one where they are few, as the kinds of mistakes are; it is empty where they are not known.
    ``requests``: those behind the values where a value is the sum over a user's, else 0.
    """

    n: int = 0
    nonzero: int = 0
    total: float = 0.0
    squares: float = 0.0
    levels: dict[float, int] = {}
    requests: int = 0

    @property
    def mean(self) -> float:
        """Mean per request; NaN where there are none."""
        return self.total / self.n if self.n else math.nan

    @property
    def variance(self) -> float:
        """Variance of one request's value, never negative; NaN where there are none."""
        return max(self.squares / self.n - self.mean**2, 0.0) if self.n else math.nan

    @property
    def has_levels(self) -> bool:
        """Whether every non-zero value is counted in ``levels``."""
        return sum(self.levels.values()) == self.nonzero

    def __add__(self, other: Sample) -> Sample:
        return Sample(
            n=self.n + other.n,
            nonzero=self.nonzero + other.nonzero,
            total=self.total + other.total,
            squares=self.squares + other.squares,
            levels={
                value: self.levels.get(value, 0) + other.levels.get(value, 0)
                for value in sorted({*self.levels, *other.levels})
            },
            requests=self.requests + other.requests,
        )


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One version in one check: all requests, those answered (status < 400), and of these with an outcome.

    ``users``: where they are the unit, those of the whole step so far. ``strata``: value of the covariate -> metric
    -> the part of its sample with that value; empty without a covariate.

    ``failed`` are the version's own errors (status >= 500); the rest was refused for the caller's mistake.
    """

    requests: int = 0
    answered: int = 0
    failed: int = 0
    with_outcome: int = 0
    users: int = 0
    samples: dict[str, Sample] = {}
    strata: dict[str, dict[str, Sample]] = {}

    def sample(self, metric: str) -> Sample:
        """Counts of ``metric``; empty where it was not measured."""
        return self.samples.get(metric, Sample())


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A disjoint batch of the serving log, ``after`` < log_id <= ``until``, at one traffic weight.

    ``weight``: percent of the traffic meant for the candidate. Late outcomes never reopen a check. ``counted_to``:
    moment (seconds since 1970) up to which metrics of other systems are counted; 0 where there are none.
    ``users_since``: users are the unit, so the samples are of the whole step so far, after that log_id; None
    where requests are.
    """

    after: int
    until: int
    weight: int
    champion: Arm
    candidate: Arm
    counted_to: float = 0.0
    users_since: int | None = None

    @property
    def requests(self) -> int:
        """Requests to both versions."""
        return self.champion.requests + self.candidate.requests


def nonsense(check: Check) -> str:
    """Why these counts cannot come from a working source; '' if they can."""
    where = f"check of log rows {check.after + 1} to {check.until}"
    for name, arm in (("champion", check.champion), ("candidate", check.candidate)):
        if arm.failed < 0 or not 0 <= arm.with_outcome <= arm.answered <= arm.requests - arm.failed:
            return (
                f"{where}: {name} has {arm.requests} requests, {arm.failed} failed, {arm.answered} answered, "
                f"{arm.with_outcome} with outcome, which cannot be; look at the query and its source"
            )
        for metric, s in arm.samples.items():
            finite = math.isfinite(s.total) and math.isfinite(s.squares)
            by_user = check.users_since is not None  # linearised sums may be negative
            positive = by_user or min(s.total, s.squares, *s.levels.values()) >= 0
            most = (
                arm.users if by_user else math.inf if check.counted_to else arm.requests
            )  # another system has its own total
            if not (finite and positive and 0 <= s.nonzero <= s.n <= most):
                return f"{where}: {metric} of the {name} is impossible: {s}; look at the query and its source"
    return ""


def pairs(checks: Sequence[Check], metric: str) -> list[tuple[Sample, Sample]]:
    """(candidate, champion) of everything that is compared within itself: checks, or in them values of a covariate."""
    found = []
    for check in disjoint(checks):
        mine, theirs = (
            {v: s[metric] for v, s in arm.strata.items() if metric in s} for arm in (check.candidate, check.champion)
        )
        if mine or theirs:
            found += [(mine.get(value, Sample()), theirs.get(value, Sample())) for value in sorted({*mine, *theirs})]
        else:
            found.append((check.candidate.sample(metric), check.champion.sample(metric)))
    return found


def disjoint(checks: Sequence[Check]) -> list[Check]:
    """Checks whose samples have nothing in common: of those that count users, the last of each step."""
    last = {check.users_since: number for number, check in enumerate(checks)}
    return [c for number, c in enumerate(checks) if c.users_since is None or last[c.users_since] == number]


def pooled(checks: Sequence[Check], metric: str) -> tuple[Sample, Sample]:
    """Champion's and candidate's counts over ``checks``: for reports and messages.

    Never for a comparison over several weights: the arms' shares differ, so pooled rates lie (Simpson).
    """
    champion = sum((check.champion.sample(metric) for check in disjoint(checks)), Sample())
    candidate = sum((check.candidate.sample(metric) for check in disjoint(checks)), Sample())
    return champion, candidate
