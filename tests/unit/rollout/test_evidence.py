"""Evidence: formulas against scipy, and error rates by simulation with fixed seeds."""

import numpy as np
import pytest
from scipy import stats

from interlock.rollout import evidence
from interlock.rollout.counts import Arm, Check, Sample
from interlock.rollout.evidence import Prior, Strata

COST = np.array([0.0, 1.0, 5.0])
SOUND = np.array([0.855, 0.107, 0.038])  # mean 0.297, deviation 0.984
PRIOR = Prior(float(SOUND @ COST), float(np.sqrt(SOUND @ COST**2 - (SOUND @ COST) ** 2)))
WEIGHTS = [0.05] * 20 + [0.25] * 20 + [0.5] * 20
LIMIT = np.log(20)


def costs_with_mean(ratio):
    """The shares of costs 0, 1, 5 when misses raise the mean by ``ratio``."""
    more = (ratio - 1) * (SOUND @ COST) / 5
    return SOUND + np.array([-more, 0, more])


def mean_strata(random, runs, candidate, weights=WEIGHTS, batch=500, champion=SOUND):
    """Strata of shape (runs, checks) of costs."""
    n_c = np.maximum(random.binomial(batch, weights, (runs, len(weights))), 1)
    n_b = batch - n_c
    c, b = random.multinomial(n_c, candidate), random.multinomial(n_b, champion)
    return Strata(n_c, n_b, c @ COST, b @ COST, c @ COST**2, b @ COST**2, b[..., 1:].sum(-1))


def rate_strata(random, p_c, p_b, weights=WEIGHTS, batch=500):
    """Strata of one run; ``p_b`` may differ per check."""
    n_c = random.binomial(batch, weights)
    p_b = np.broadcast_to(p_b, n_c.shape)
    x_c, x_b = random.binomial(n_c, p_c * p_b / p_b.max()), random.binomial(batch - n_c, p_b)
    return Strata(n_c, batch - n_c, x_c, x_b, x_c, x_b, x_b)


@pytest.mark.parametrize(("n", "bad", "n_c"), [(100, 10, 5), (1000, 130, 250), (50, 50, 20), (7, 0, 3), (40, 30, 30)])
def test_mean_power_is_the_hypergeometric_expectation(n, bad, n_c):
    odds = np.array([0.5, 1.0, 2.0, 10.0])
    j = np.arange(n_c + 1)
    expected = (stats.hypergeom.pmf(j, n, bad, n_c) * odds[:, None] ** j).sum(1)
    got = evidence.log_mean_power(np.log(odds), np.array(n), np.array(bad), np.array(n_c))
    assert np.exp(got) == pytest.approx(expected, rel=1e-10)


def test_rate_tail_is_fishers_exact_test():
    champion, candidate = Sample(n=900, nonzero=20, total=20), Sample(n=100, nonzero=6, total=6)
    exact = stats.fisher_exact([[6, 94], [20, 880]], alternative="greater").pvalue
    assert evidence.rate_tail(champion, candidate, 0.0) == pytest.approx(exact, rel=1e-9)
    assert evidence.rate_tail(champion, candidate, 0.3) > exact


def test_one_factor_of_a_has_mean_one_without_an_effect():
    n, bad, n_c = 60, 12, 20
    x = np.arange(0, bad + 1)
    probability = stats.hypergeom.pmf(x, n, bad, n_c)
    e = [
        np.exp(evidence.rate_harm(Strata(*np.array([[n_c], [n - n_c], [k], [bad - k], [k], [bad - k], [bad - k]])))[-1])
        for k in x
    ]
    assert probability @ e == pytest.approx(1.0, rel=1e-9)


def test_rates_false_alarms_with_drift_and_changing_weights():
    random = np.random.default_rng(1)
    drift = np.linspace(0.12, 0.08, len(WEIGHTS))
    alarms = [evidence.rate_harm(rate_strata(random, 0.12, drift)).max() >= LIMIT for _ in range(300)]
    assert np.mean(alarms) <= 0.05


def test_rates_find_a_doubled_error_rate():
    random = np.random.default_rng(2)
    found = [evidence.rate_harm(rate_strata(random, 0.04, 0.02)).max() >= LIMIT for _ in range(50)]
    assert np.mean(found) >= 0.95


def test_rates_noninferiority_at_the_margin_and_without_effect():
    random = np.random.default_rng(3)

    def shown(p_c):
        s = rate_strata(random, p_c, 0.1)
        return evidence.rate_noninferiority(s, 0.3, 0.1).max() >= LIMIT

    assert np.mean([shown(0.13) for _ in range(200)]) <= 0.05
    assert np.mean([shown(0.10) for _ in range(100)]) >= 0.9


def test_means_false_alarms_with_changing_weights():
    s = mean_strata(np.random.default_rng(4), 4000, SOUND)
    alarms = (evidence.mean_harm(s, PRIOR, 0.05) >= LIMIT).any(-1)
    assert alarms.mean() <= 0.05


def test_means_find_harm():
    s = mean_strata(np.random.default_rng(5), 1000, costs_with_mean(1.5))
    assert (evidence.mean_harm(s, PRIOR, 0.05) >= LIMIT).any(-1).mean() >= 0.98


def cost_checks(random, candidate, champion=SOUND, weights=WEIGHTS, batch=500, split_error=1.0):
    """One run as checks; ``champion`` and ``candidate`` may be a row per check."""
    checks = []
    for k, w in enumerate(weights):
        n_c = random.binomial(batch, w * split_error)
        shares = (champion, batch - n_c), (candidate, n_c)
        b, c = (random.multinomial(n, p[k] if np.ndim(p) > 1 else p) for p, n in shares)
        arms = [Arm(requests=x.sum(), answered=x.sum(), samples={"cost": cost_sample(x)}) for x in (b, c)]
        checks.append(Check(after=k, until=k + 1, weight=round(100 * w), champion=arms[0], candidate=arms[1]))
    return checks


def cost_sample(counts):
    levels = {float(v): int(n) for v, n in zip(COST[1:], counts[1:], strict=True)}
    total, squares = float(counts @ COST), float(counts @ COST**2)
    return Sample(n=int(counts.sum()), nonzero=int(counts[1:].sum()), total=total, squares=squares, levels=levels)


def bet(checks):
    return evidence.betting_harm(evidence.levels(checks, "cost"), 5.0, Sample())


DRIFT = np.linspace(1.2, 0.8, len(WEIGHTS))[:, None] * np.array([0, 1, 1])
DRIFTING = SOUND * DRIFT + np.array([1, 0, 0]) * (1 - (SOUND * DRIFT).sum(1, keepdims=True))
SAME_MEAN = np.array([0.9305, 0.0125, 0.0569])  # half as many misses again, paid for by fewer false alarms


@pytest.mark.parametrize(
    ("candidate", "champion", "split_error"),
    [(SOUND, SOUND, 1.0), (DRIFTING, DRIFTING, 1.0), (SAME_MEAN, SOUND, 1.0), (SOUND, SOUND, 0.95)],
    ids=["no effect", "drift", "same mean of other mistakes", "split a little off"],
)
def test_betting_false_alarms(candidate, champion, split_error):
    random = np.random.default_rng(11)
    runs = [bet(cost_checks(random, candidate, champion, split_error=split_error)) for _ in range(250)]
    assert np.mean([run.max() >= LIMIT for run in runs]) <= 0.05


def test_betting_factor_has_mean_one_without_an_effect():
    random = np.random.default_rng(12)
    before = cost_sample(np.array([8550, 1070, 380]))
    runs = [cost_checks(random, SOUND, weights=[0.25], batch=100) for _ in range(4000)]
    e = np.exp([evidence.betting_harm(evidence.levels(run, "cost"), 5.0, before)[-1] for run in runs])
    assert e.mean() == pytest.approx(1.0, abs=4 * e.std() / np.sqrt(len(e)))


def test_betting_finds_harm_with_fewer_requests_than_the_confidence_sequence():
    random, first = np.random.default_rng(13), []
    for _ in range(60):
        checks = cost_checks(random, costs_with_mean(1.28))
        paths = bet(checks), evidence.mean_harm(evidence.strata(checks, "cost"), PRIOR, 0.05)
        first.append([np.argmax(path >= LIMIT) if path.max() >= LIMIT else len(path) for path in paths])
    betting, sequence = np.median(first, axis=0)
    assert betting < sequence < len(WEIGHTS)


@pytest.mark.parametrize("batch", [100, 5000])
def test_nothing_is_bet_before_the_champion_is_known(batch):
    """Nor on a check by what that check itself says of the champion, however much it is."""
    checks = cost_checks(np.random.default_rng(14), costs_with_mean(3), weights=[0.5], batch=batch)
    assert bet(checks).tolist() == [0.0]


@pytest.mark.parametrize(("weight", "margin"), [(0.05, 0.6), (0.25, 0.4), (0.5, 0.25)])
def test_means_false_promotions_at_the_margin(weight, margin):
    s = mean_strata(np.random.default_rng(6), 4000, costs_with_mean(1 + margin), [weight] * 60)
    shown = (evidence.mean_noninferiority(s, margin, PRIOR, 0.05) >= LIMIT).any(-1)
    assert shown.mean() <= 0.05


def test_means_promote_a_sound_candidate():
    s = mean_strata(np.random.default_rng(7), 1000, SOUND)
    assert (evidence.mean_noninferiority(s, 0.25, PRIOR, 0.05) >= LIMIT).any(-1).mean() >= 0.95


def test_pooling_over_weights_would_be_wrong_and_is_not_done():
    """The world gets worse while the weight grows: pooled means accuse a candidate that is always equal."""
    random = np.random.default_rng(8)
    early = mean_strata(random, 500, SOUND, [0.05] * 30)
    late = mean_strata(random, 500, costs_with_mean(1.6), [0.5] * 30, champion=costs_with_mean(1.6))
    s = Strata(*(np.concatenate(pair, axis=-1) for pair in zip(early, late, strict=True)))
    pooled = s.total_c.sum(-1) / s.n_c.sum(-1) - s.total_b.sum(-1) / s.n_b.sum(-1)
    assert pooled.mean() > 0.05
    assert (evidence.mean_harm(s, PRIOR, 0.05) >= LIMIT).any(-1).mean() <= 0.05


def test_bound_covers_the_difference():
    random, outside = np.random.default_rng(9), 0
    for _ in range(200):
        s = Strata(*(row[0] for row in mean_strata(random, 1, costs_with_mean(1.2))))
        bound = evidence.mean_bound(s, PRIOR, 0.05)
        assert bound.low < bound.difference < bound.high
        outside += not bound.low <= 0.2 * PRIOR.mean <= bound.high
    assert outside <= 0.1 * 200


def test_nothing_is_said_before_the_evidence_starts():
    s = Strata(*np.array([[50.0], [950.0], [0.0], [285.0], [0.0], [950.0], [140.0]]))
    assert evidence.mean_harm(s, PRIOR, 0.05)[-1] == 0.0
    assert evidence.mean_noninferiority(s, 0.5, PRIOR, 0.05)[-1] == 0.0
    assert evidence.mean_bound(s, PRIOR, 0.05) is None


def test_combined_is_the_weighted_mean():
    assert evidence.combined([np.log(40), 0.0], [1, 3]) == pytest.approx(np.log(10.75))
    assert evidence.combined([], []) == 0.0


def test_checks_without_both_arms_are_left_out():
    one_arm = Check(after=0, until=9, weight=5, champion=Arm(requests=9, answered=9), candidate=Arm())
    assert len(evidence.strata([one_arm], "cost").n_c) == 0


def test_a_hundred_checks_are_quick():
    random = np.random.default_rng(10)
    s = rate_strata(random, 0.1, 0.1, [0.25] * 100, batch=1000)
    seconds = min(_timed(evidence.rate_harm, s) for _ in range(3))
    assert seconds < 0.05


def _timed(function, *arguments):
    import time

    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began
