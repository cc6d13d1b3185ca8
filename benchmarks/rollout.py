"""Error rates, speed and cost of the rollout rules, by simulation with fixed seeds; the last line is JSON.

Streams: 100 checks of 1,000 requests, 20 at 5 %, 30 at 25 %, 50 at 50 % of the traffic; 10 % of the requests
convert, the others are counted as bad. ``dNN``: NN % fewer of the candidate's convert. ``aa_false_1000``: ten
times as long, 90 % convert. ``flights``: costs 0, 1 and 5 as in the example, in a canary that waits for
evidence (``PLAN``). ``*_upper``: 95 % upper bound of a simulated share.

Rules of others, re-implemented from their documentation, on streams of the first kind: Argo (a check fails
when the candidate converts more than 5 % less, four failures roll back), Flagger (a check fails below a fixed
threshold, here 5 % under the usual rate; ten failures roll back), a one-sided z-test at 5 % at every check,
Kayenta (Mann-Whitney on the series of check rates, 98 %, tolerance 25 %, from 10 checks on).
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import numpy.typing as npt
from scipy import stats
from shadow import live_costs, requests_to_reject

from interlock.rollout import evidence
from interlock.rollout.counts import Sample
from interlock.rollout.evidence import Floats, Levels, Prior, Strata

LIMIT = np.log(20)
WEIGHTS = np.repeat([0.05, 0.25, 0.5], [20, 30, 50])
BATCH = 1000
COST = np.array([0.0, 1.0, 5.0])
SOUND = np.array([0.855, 0.107, 0.038])
PLAN = [(0.10, 0.5), (0.25, 0.3), (0.50, 0.25)]  # weight, margin
COST_SHARE = 4 / 6  # the business metric's share of alpha beside two guardrails
MINIMUM_REQUESTS = 2000
FLIGHTS_BATCH = 500


def rates(random, runs, drop, *, base=0.10, weights=WEIGHTS, split_error=1.0):
    """Counts of requests that do not convert; ``base`` converts and may differ per check."""
    n_c = np.maximum(random.binomial(BATCH, weights * split_error, (runs, len(weights))), 1)
    n_b = BATCH - n_c
    x_c, x_b = random.binomial(n_c, 1 - base * (1 - drop)), random.binomial(n_b, 1 - base)
    return Strata(*(np.asarray(a, dtype=float) for a in (n_c, n_b, x_c, x_b, x_c, x_b, x_b)))


def first_alarm(log_e: Floats) -> Floats:
    """Index of the first check that reaches the limit, per run; infinity where none does."""
    alarm = log_e >= LIMIT
    return np.where(alarm.any(-1), alarm.argmax(-1), np.inf)


def alarms(random, runs, drop, **options):
    """First alarm of (A) per run, and the candidate requests until it (or until the end)."""
    firsts, exposed = [], []
    checks = len(options.get("weights", WEIGHTS))
    chunk = max(1, 20_000 // checks)
    for start in range(0, runs, chunk):
        s = rates(random, min(chunk, runs - start), drop, **options)
        first = first_alarm(evidence.rate_harm(s))
        firsts.append(first)
        last = np.minimum(first, checks - 1).astype(int)
        exposed.append(np.take_along_axis(np.cumsum(s.n_c, -1), last[:, None], -1)[:, 0])
    return np.concatenate(firsts), np.concatenate(exposed)


def upper(hits: int, runs: int) -> float:
    """One-sided 95 % upper bound of a share (Clopper-Pearson)."""
    return float(stats.beta.ppf(0.95, hits + 1, runs - hits))


def argo(s: Strata) -> npt.NDArray[np.bool_]:
    failed = 1 - s.total_c / s.n_c < 0.95 * (1 - s.total_b / s.n_b)
    return np.sum(failed, -1) > 3


def flagger(s: Strata, usual: float) -> npt.NDArray[np.bool_]:
    failed = 1 - s.total_c / s.n_c < 0.95 * usual
    return np.sum(failed, -1) >= 10


def repeated_z(s: Strata) -> npt.NDArray[np.bool_]:
    n_c, n_b, x_c, x_b = (np.cumsum(a, -1) for a in (s.n_c, s.n_b, s.total_c, s.total_b))
    p = (x_c + x_b) / (n_c + n_b)
    z = (x_c / n_c - x_b / n_b) / np.sqrt(np.maximum(p * (1 - p), 1e-12) * (1 / n_c + 1 / n_b))
    return (z > stats.norm.ppf(0.95)).any(-1)


def kayenta(s: Strata) -> npt.NDArray[np.bool_]:
    c, b = s.total_c / s.n_c, s.total_b / s.n_b
    found = np.zeros(len(c), dtype=bool)
    for k in range(10, c.shape[1] + 1, 5):
        differences = np.sort((c[:, :k, None] - b[:, None, :k]).reshape(len(c), -1), -1)
        rank = int(k * k / 2 - stats.norm.ppf(0.99) * np.sqrt(k * k * (2 * k + 1) / 12))
        tolerance = 0.25 * np.abs(np.median(differences, -1))
        found |= differences[:, max(rank, 0)] > tolerance
    return found


def revenue_false(random, runs):
    """(B) for harm on capped lognormal amounts of equal capped mean: the highest share of the grid."""
    shares = []
    for sigma in (1.0, 1.5):
        cap = np.exp(sigma * stats.norm.ppf(0.99))
        for more in (0.0, 0.3, 0.5):
            scale = _equal_capped_mean(sigma, sigma + more, cap)
            hits = 0
            for start in range(0, runs, 50):
                s = _amounts(random, min(50, runs - start), sigma_b=sigma, sigma_c=sigma + more, scale=scale, cap=cap)
                prior = Prior(float(s.total_b.sum() / s.n_b.sum()), float(np.sqrt(s.squares_b.sum() / s.n_b.sum())))
                hits += int((evidence.mean_harm(s, prior, 0.05) >= LIMIT).any(-1).sum())
            shares.append(hits / runs)
    return max(shares)


def _amounts(random, runs, *, sigma_b, sigma_c, scale, cap):
    n_c = np.maximum(random.binomial(BATCH, WEIGHTS, (runs, len(WEIGHTS))), 1)
    arms = []
    for n, sigma, factor in ((n_c, sigma_c, scale), (BATCH - n_c, sigma_b, 1.0)):
        buyers = random.binomial(n, 0.1)
        values = np.minimum(factor * np.exp(sigma * random.standard_normal(int(buyers.sum()))), cap)
        owner = np.repeat(np.arange(buyers.size), buyers.ravel())
        sums = [np.bincount(owner, v, buyers.size).reshape(buyers.shape) for v in (values, values**2)]
        arms.append((n.astype(float), *sums, buyers.astype(float)))
    (n_c, t_c, q_c, _), (n_b, t_b, q_b, z_b) = arms
    return Strata(n_c, n_b, t_c, t_b, q_c, q_b, z_b)


def _equal_capped_mean(sigma_b, sigma_c, cap):
    draws = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    wanted = np.minimum(np.exp(sigma_b * draws), cap).mean()
    low, high = 0.1, 3.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if np.minimum(middle * np.exp(sigma_c * draws), cap).mean() < wanted else (low, middle)
        )
    return low


def costs_with_mean(ratio):
    """Shares of the costs when more misses raise the mean by ``ratio``."""
    more = (ratio - 1) * (SOUND @ COST) / 5
    return SOUND + np.array([-more, 0.0, more])


def gated(random, runs, candidate, plan=PLAN, checks=160):
    """A canary that waits for evidence: outcomes ('' = still going), total and candidate requests."""
    weights, margins = np.array(plan).T
    before = Sample(n=10_000, nonzero=1450, total=2970.0, squares=10_570.0)
    prior = evidence.prior_of(before)
    step, in_step = np.zeros(runs, dtype=int), np.zeros(runs, dtype=int)
    outcome = np.full(runs, "", dtype="<U11")
    total, exposed = np.zeros(runs, dtype=int), np.zeros(runs, dtype=int)
    share = np.zeros((runs, checks))
    c, b = np.zeros((runs, checks, 3)), np.zeros((runs, checks, 3))
    for k in range(checks):
        live = np.flatnonzero(outcome == "")
        if len(live) == 0:
            break
        w = weights[step[live]]
        n_c = random.binomial(FLIGHTS_BATCH, w)
        share[live, k] = w
        c[live, k], b[live, k] = (
            random.multinomial(n_c, candidate),
            random.multinomial(FLIGHTS_BATCH - n_c, SOUND),
        )
        total[live] += FLIGHTS_BATCH
        exposed[live] += n_c
        in_step[live] += FLIGHTS_BATCH
        now = slice(0, k + 1)
        levels = Levels(COST, c[live, now], b[live, now], share[live, now])
        harm = evidence.betting_harm(levels, 5.0, before)[:, -1] + np.log(COST_SHARE)
        shown = np.array([_noninferiority(levels, m, prior) for m in margins])[step[live], np.arange(len(live))]
        back = harm >= LIMIT
        outcome[live[back]] = "rolled back"
        go = live[~back & (shown >= LIMIT) & (in_step[live] >= MINIMUM_REQUESTS)]
        outcome[go[step[go] == len(plan) - 1]] = "promoted"
        step[go] = np.minimum(step[go] + 1, len(plan) - 1)
        in_step[go] = 0
    return outcome, total, exposed


def _noninferiority(levels: Levels, margin, prior):
    c, b = levels.candidate, levels.champion
    s = Strata(c.sum(-1), b.sum(-1), c @ COST, b @ COST, c @ COST**2, b @ COST**2, b[..., 1:].sum(-1))
    return evidence.mean_noninferiority(s, margin, prior, 0.05)[:, -1]


def d10_bounds(random, runs):
    """How often a fall of 10 % can be found by 50,000 requests of this schedule, by rules that know more.

    ``oracle``: the e-process that bets on the true odds ratio alone. ``one_look``: a z-test at 5 % that looks once,
    at the end. Both are beyond what any rule can do that looks at every check and does not know the effect.
    """
    s = rates(random, runs, 0.1, weights=WEIGHTS[:50])
    odds = np.log(np.array([(0.91 / 0.09) / (0.9 / 0.1)]))
    power = evidence.log_mean_power(odds, s.n_c + s.n_b, s.total_c + s.total_b, s.n_c)[0]
    oracle = np.cumsum(odds * s.total_c - power, -1)
    h = s.n_c * s.n_b / (s.n_c + s.n_b)
    gap = (h * (s.total_c / s.n_c - s.total_b / s.n_b)).sum(-1)
    rate = (s.total_c + s.total_b).sum(-1) / (s.n_c + s.n_b).sum(-1)
    z = gap / np.sqrt(h.sum(-1) * rate * (1 - rate))
    return {
        "d10_oracle_50k": float((oracle >= LIMIT).any(-1).mean()),
        "d10_one_look_50k": float((z > stats.norm.ppf(0.95)).mean()),
    }


def check_ms(random):
    s = rates(random, 1, 0.0)
    one = Strata(*(a[0] for a in s))
    took = []
    for _ in range(5):
        began = time.perf_counter()
        evidence.rate_harm(one)
        took.append(time.perf_counter() - began)
    return 1000 * min(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4000, help="simulated rollouts for the false-alarm rates")
    runs = parser.parse_args().runs
    random = np.random.default_rng(20_250_101)
    fewer = max(runs // 4, 50)
    result: dict[str, float] = {"runs": runs}
    for name, options in {
        "aa_false_100": {},
        "aa_false_1000": {"weights": np.repeat([0.05, 0.25, 0.5], [200, 300, 500]), "base": 0.9},
        "drift_false": {"base": np.linspace(0.12, 0.08, 100), "split_error": 0.9},
    }.items():
        hits = int(np.isfinite(alarms(random, runs, 0.0, **options)[0]).sum())
        result |= {name: hits / runs, f"{name}_upper": upper(hits, runs)}
        print(name, result[name], flush=True)
    for name, drop in (("d10", 0.1), ("d20", 0.2), ("d50", 0.5)):
        first, exposed = alarms(random, fewer, drop)
        result[f"{name}_median"] = float(np.median(first + 1) * BATCH)
        result[f"{name}_candidate"] = float(exposed.mean())
        result[f"{name}_power"] = float(np.isfinite(first).mean())
        result[f"{name}_power_50k"] = float((first < 50).mean())
    result |= d10_bounds(random, fewer)
    same = rates(random, fewer, 0.0)
    result |= {"argo_false": argo(same).mean(), "ztest_false": repeated_z(same).mean()}
    result["flagger_false"] = flagger(same, 0.10).mean()
    result["kayenta_false"] = kayenta(Strata(*(a[:200] for a in same))).mean()
    result["revenue_false"] = revenue_false(random, max(fewer // 2, 50))
    print("streams done", flush=True)
    for name, ratio in (("aa", 1.0), ("margin", 1 + PLAN[-1][1]), ("d28", 1.28), ("d50", 1.5)):
        outcome, total, exposed = gated(random, fewer, costs_with_mean(ratio))
        for end, what in (("promoted", "promoted"), ("rolled back", "rolled_back")):
            mine = outcome == end
            result[f"flights_{name}_{what}"] = mine.mean()
            if mine.mean() > 0.1:
                result[f"flights_{name}_{what}_total_median"] = np.median(total[mine])
                result[f"flights_{name}_{what}_total_p90"] = np.quantile(total[mine], 0.9)
                result[f"flights_{name}_{what}_candidate_median"] = np.median(exposed[mine])
                result[f"flights_{name}_{what}_candidate_p90"] = np.quantile(exposed[mine], 0.9)
    result |= requests_to_reject(*live_costs())
    result |= {
        "aa_promoted": result["flights_aa_promoted"],
        "false_promote": result["flights_margin_promoted"],
    }
    result["check_ms"] = check_ms(random)
    print(json.dumps({name: round(float(value), 4) for name, value in result.items()}))


if __name__ == "__main__":
    main()
