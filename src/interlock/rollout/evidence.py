"""Anytime-valid evidence on a candidate, from per-check counts.

Every function gives ln E after each check, where E is an e-process: under its null hypothesis the chance that
E ever reaches 1/alpha, at however many looks, is at most alpha (Ville). All metrics are bad when they go up.

=============  ===========================  ==============================================================
(A) rates      harm and non-inferiority     stratified hypergeometric: exact
(B) means      non-inferiority, bound       stratified confidence sequence: asymptotic
(C) means      harm                         betting on capped values: exact where the split is as declared
=============  ===========================  ==============================================================

(A) uses only that requests are assigned at random inside a check, so rates may drift, weights may change
between checks, and the declared split need not be right. (C) finds harm with a third fewer requests to the
candidate than (B) and needs no normal approximation, but trusts the declared split; were it wrong, a sound
candidate might go back. (B) does not trust it, so (B) decides on promotion. It needs a bounded metric (the
declared cap), starts when both arms can be expected to hold ``STARTS_AT`` non-zero values, and inflates the
variance by ``VARIANCE_FACTOR``; it also finds harm where values are not counted one by one. Each check is a
stratum; pooled over different weights, rates would lie (Simpson).

Robbins' half-normal mixture, https://arxiv.org/abs/1810.08240; estimated variance,
https://arxiv.org/abs/2103.06476; betting, https://arxiv.org/abs/2010.09686; averages of e-values,
https://arxiv.org/abs/1912.06116.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from interlock.rollout.counts import Check, Sample, pairs

Floats = npt.NDArray[np.float64]

HARM_ODDS = (1.1, 1.2, 1.4, 2.0, 5.0)  # odds ratios that (A) bets on; the mixture finds the right one
HARM_EFFECTS = (0.1, 0.3)  # relative increases of the mean that (B) is tuned for
HARM_BETS = (0.08, 0.15, 0.3, 0.6)  # relative increases of the mean that (C) bets on
STARTS_AT = 30.0
VARIANCE_FACTOR = 1.1


class Strata(NamedTuple):
    """Counts of one metric, one value per check (last axis), of candidate (c) and champion (b)."""

    n_c: Floats
    n_b: Floats
    total_c: Floats
    total_b: Floats
    squares_c: Floats
    squares_b: Floats
    nonzero_b: Floats


class Prior(NamedTuple):
    """Champion's mean and standard deviation before the evidence begins. They set power, never validity."""

    mean: float
    deviation: float


class Bound(NamedTuple):
    """Candidate minus champion, per request; ``low`` and ``high`` hold at all times, each at level alpha."""

    difference: float
    low: float
    high: float


def strata(checks: Sequence[Check], metric: str) -> Strata:
    """Checks, or values of the covariate in them, where both arms have values; the others carry no comparison."""
    both = [(c, b) for c, b in pairs(checks, metric) if c.n > 0 and b.n > 0]
    rows = [(c.n, b.n, c.total, b.total, c.squares, b.squares, b.nonzero) for c, b in both]
    return Strata(*np.array(rows, dtype=float).reshape(-1, 7).T)


def prior_of(sample: Sample) -> Prior | None:
    """Mean and deviation, or None where the sample is too small to fix them."""
    if sample.nonzero < STARTS_AT or sample.variance <= 0:
        return None
    return Prior(sample.mean, float(np.sqrt(sample.variance)))


# --- (A) rates -----------------------------------------------------------------------------------------


def log_mean_power(log_odds: Floats, n: Floats, bad: Floats, n_c: Floats) -> Floats:
    """ln E[psi^J], J ~ Hypergeometric(``n`` requests, ``bad`` of them, ``n_c`` drawn).

    One row per ln psi, then the shape of the counts.
    """
    j, weights = _hypergeometric(n, bad, n_c)
    none = _log_sum_exp(weights)
    return np.array([_log_sum_exp(weights + odds * j) - none for odds in log_odds])


def rate_harm(s: Strata) -> Floats:
    """ln E against "the candidate's odds of a bad request are not higher"."""
    odds = np.log(np.array(HARM_ODDS))
    return _mixture(_log_factors(s, odds))


def rate_noninferiority(s: Strata, margin: float, rate: float, *, up: bool = False) -> Floats:
    """ln E against "the candidate's rate is at least (1 + margin) times the champion's ``rate``".

    ``up``: against "its rate of good ones is at most (1 - margin) times the champion's"; counts are of bad ones.
    """
    worse = 1 - (1 - margin) * (1 - rate) if up else min((1 + margin) * rate, (1 + rate) / 2)
    limit = (worse / (1 - worse)) / (rate / (1 - rate)) if rate > 0 else 1 + margin
    odds = np.log(np.array([1.0, (1 + limit) / 2, 0.95]))
    return _mixture(_log_factors(s, odds) - _log_factors(s, np.log(np.array([limit]))))


def rate_tail(champion: Sample, candidate: Sample, margin: float) -> float:
    """Exact one-look p-value of "odds ratio <= 1 + margin" given the margins (Fisher, noncentral)."""
    n, bad = champion.n + candidate.n, champion.total + candidate.total
    j, weights = _hypergeometric(np.array(n), np.array(bad), np.array(candidate.n))
    weights = weights + np.log1p(margin) * j
    tail = _log_sum_exp(weights[j >= candidate.total]) - _log_sum_exp(weights)
    return float(np.exp(np.minimum(tail, 0.0)))


def _hypergeometric(n: Floats, bad: Floats, n_c: Floats) -> tuple[Floats, Floats]:
    """Values of J on the last axis, and their log weights up to a constant: -inf where J cannot be."""
    from scipy.special import gammaln

    n, bad, n_c = (np.asarray(count, dtype=float)[..., None] for count in (n, bad, n_c))
    lowest, highest = np.maximum(0, bad - (n - n_c)), np.minimum(bad, n_c)
    j = lowest + np.arange(np.max(highest - lowest, initial=0) + 1)
    weights: Floats = -(gammaln(j + 1) + gammaln(bad - j + 1) + gammaln(n_c - j + 1) + gammaln(n - n_c - bad + j + 1))
    return j, weights


def _log_factors(s: Strata, log_odds: Floats) -> Floats:
    """ln (psi^x_c / G(psi)), one row per alternative, then the shape of the strata."""
    power = log_mean_power(log_odds, s.n_c + s.n_b, s.total_c + s.total_b, s.n_c)
    return np.multiply.outer(log_odds, s.total_c) - power


def _mixture(factors: Floats) -> Floats:
    """ln of the mean over alternatives of the running products."""
    return _log_mean_exp(np.cumsum(factors, axis=-1))


def _log_mean_exp(log_e: Floats) -> Floats:
    """ln of the mean over the first axis."""
    result: Floats = _log_sum_exp(np.moveaxis(log_e, 0, -1)) - np.log(len(log_e))
    return result


def _log_sum_exp(values: Floats) -> Floats:
    """ln of the sum of exponentials over the last axis."""
    highest = values.max(axis=-1, keepdims=True)
    result: Floats = np.log(np.exp(values - highest).sum(axis=-1)) + highest[..., 0]
    return result


# --- (B) means -----------------------------------------------------------------------------------------


def mean_harm(s: Strata, prior: Prior, alpha: float, *, up: bool = False) -> Floats:
    """ln E against "the candidate's mean is not higher"; ``up``: not lower."""
    gap, _, variance = _difference(s, 0.0)
    gap = -gap if up else gap
    log_e = [_half_normal(gap, variance, _tuning(prior, effect, alpha)) for effect in HARM_EFFECTS]
    return np.where(_started(s), _log_mean_exp(np.array(log_e)), 0.0)


def mean_noninferiority(s: Strata, margin: float, prior: Prior, alpha: float, *, up: bool = False) -> Floats:
    """ln E against "its mean is at least (1 + margin) times the champion's"; ``up``: at most (1 - margin) times."""
    gap, _, variance = _difference(s, -margin if up else margin)
    log_e = _half_normal(gap if up else -gap, variance, _tuning(prior, margin, alpha))
    return np.where(_started(s), log_e, 0.0)


def mean_bound(s: Strata, prior: Prior, alpha: float) -> Bound | None:
    """Difference of the means after the last check, weighted over checks; None before the evidence begins."""
    if len(s.n_c) == 0 or not _started(s)[-1]:
        return None
    gap, information, variance = (float(values[-1]) for values in _difference(s, 0.0))
    rho = _tuning(prior, HARM_EFFECTS[-1], alpha)
    reach = np.sqrt(2 * (variance + rho) * np.log1p(np.sqrt((variance + rho) / rho) / (2 * alpha)))
    return Bound(*(float(value) / information for value in (gap, gap - reach, gap + reach)))


def _difference(s: Strata, margin: float) -> tuple[Floats, Floats, Floats]:
    """Running sum of h (mean_c - (1 + margin) mean_b), of h, and the variance of the first."""
    n = s.n_c + s.n_b
    h = s.n_c * s.n_b / n
    ratio = 1 + margin
    gap = np.cumsum(h * (s.total_c / s.n_c - ratio * s.total_b / s.n_b), axis=-1)
    variance = _variance(s.n_c, s.total_c, s.squares_c) * np.cumsum(s.n_c * (s.n_b / n) ** 2, axis=-1)
    variance += ratio**2 * _variance(s.n_b, s.total_b, s.squares_b) * np.cumsum(s.n_b * (s.n_c / n) ** 2, axis=-1)
    information = np.cumsum(h, axis=-1)
    if margin == 0:  # without a margin both arms share one variance; the larger estimate is the safe one
        both = _variance(n, s.total_c + s.total_b, s.squares_c + s.squares_b)
        variance = np.maximum(variance, both * information)
    return gap, information, VARIANCE_FACTOR * variance


def _variance(n: Floats, total: Floats, squares: Floats) -> Floats:
    count = np.cumsum(n, axis=-1)
    mean = np.cumsum(total, axis=-1) / count
    return np.maximum(np.cumsum(squares, axis=-1) / count - mean**2, 0.0)


def _started(s: Strata) -> npt.NDArray[np.bool_]:
    """Whether both arms can be expected to hold enough non-zero values, at the champion's share of them.

    The candidate's own share is not asked: a candidate that errs less must not have to wait longer.
    """
    nonzero_b = np.cumsum(s.nonzero_b, axis=-1)
    expected_c = np.cumsum(s.n_c, axis=-1) * nonzero_b / np.cumsum(s.n_b, axis=-1)
    return np.minimum(nonzero_b, expected_c) >= STARTS_AT


def _half_normal(gap: Floats, variance: Floats, rho: float) -> Floats:
    """ln E of the one-sided normal mixture, growing when ``gap`` is positive."""
    from scipy.special import log_ndtr

    spread = variance + rho
    result: Floats = (
        np.log(2) - 0.5 * np.log1p(variance / rho) + gap**2 / (2 * spread) + log_ndtr(gap / np.sqrt(spread))
    )
    return result


def _tuning(prior: Prior, effect: float, alpha: float) -> float:
    """rho for which a relative change of ``effect`` is found soonest (at about three standard errors)."""
    from scipy.special import lambertw

    best_at = 9 * prior.deviation**4 / (effect * prior.mean) ** 2
    return float(best_at / (-lambertw(-((2 * alpha) ** 2) / np.e, k=-1).real - 1))


# --- (C) means, by betting -----------------------------------------------------------------------------


class Levels(NamedTuple):
    """Values counted one by one: ``values`` (levels), the arms' counts (..., checks, levels).

    ``share``: the candidate's declared share of the traffic (..., checks).
    """

    values: Floats
    candidate: Floats
    champion: Floats
    share: Floats


def levels(checks: Sequence[Check], metric: str) -> Levels:
    """The counts of each value, 0 included, over all checks."""
    pairs = [(check.candidate.sample(metric), check.champion.sample(metric)) for check in checks]
    values = sorted({value for pair in pairs for sample in pair for value in sample.levels})

    def counts(sample: Sample) -> list[int]:
        return [sample.n - sample.nonzero, *(sample.levels.get(value, 0) for value in values)]

    return Levels(
        np.array([0.0, *values]),
        np.array([counts(candidate) for candidate, _ in pairs], dtype=float),
        np.array([counts(champion) for _, champion in pairs], dtype=float),
        np.array([check.weight / 100 for check in checks]),
    )


def betting_harm(counted: Levels, cap: float, before: Sample) -> Floats:
    """ln E against "the candidate's mean is not higher", for values in [0, cap].

    Each request multiplies the capital by 1 + lambda (A - w)(Y - m): A is 1 for the candidate, w its declared
    share, and m the champion's mean so far, from ``before`` the rollout on. Under equal means the expected
    factor is 1 whatever m is. Nothing is bet while m is unknown.
    """
    values, champion = counted.values, counted.champion
    earlier = np.cumsum(champion, axis=-2) - champion  # without the check itself: a bet is placed before it
    n = before.n + earlier.sum(-1)
    nonzero = before.nonzero + earlier[..., values > 0].sum(-1)
    mean = np.minimum((before.total + earlier @ values) / np.maximum(n, 1), cap)
    variance = (before.squares + earlier @ values**2) / np.maximum(n, 1) - mean**2
    known = (nonzero >= STARTS_AT) & (variance > 0)
    most = 0.95 / np.maximum(cap - mean, mean)
    factors = []
    for effect in HARM_BETS:
        bet = np.minimum(effect * mean / np.where(known, variance, 1.0), most) * known
        gain = (1 - counted.share)[..., None] * (values - mean[..., None])
        loss = -counted.share[..., None] * (values - mean[..., None])
        log_factor = np.log1p(bet[..., None] * gain) * counted.candidate
        factors.append((log_factor + np.log1p(bet[..., None] * loss) * champion).sum(-1))
    return _mixture(np.array(factors))


# --- several metrics -----------------------------------------------------------------------------------


def combined(log_e: Sequence[float], weights: Sequence[float]) -> float:
    """ln of the weighted mean of e-values: valid however the metrics depend on each other."""
    if not log_e:
        return 0.0
    return float(_log_sum_exp(np.array(log_e) + np.log(np.array(weights) / np.sum(weights))))
