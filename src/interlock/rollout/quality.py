"""Whether the arms can be compared at all: traffic split as it was set, outcomes there in both."""

from __future__ import annotations

import math
from collections.abc import Sequence

from interlock.rollout.counts import Check, disjoint

MISMATCH_P = 1e-6  # far beyond chance even when looked at thousands of times
OUTCOME_SHARE_GAP = 0.05


def split_mismatch(checks: Sequence[Check]) -> str:
    """Sample-ratio mismatch: the candidate's share of the requests, or users, against the weights; '' if it fits."""
    counts = [
        (c.candidate.users, c.champion.users, c.weight / 100)
        if c.users_since is not None
        else (c.candidate.requests, c.champion.requests, c.weight / 100)
        for c in disjoint(checks)
    ]
    expected = sum((mine + theirs) * share for mine, theirs, share in counts)
    variance = sum((mine + theirs) * share * (1 - share) for mine, theirs, share in counts)
    got = sum(mine for mine, _, _ in counts)
    p = math.erfc(abs(got - expected) / math.sqrt(2 * variance)) if variance > 0 else 1.0
    if p >= MISMATCH_P:
        return ""
    unit = "users" if any(check.users_since is not None for check in checks) else "requests"
    return (
        f"traffic split is not as set: candidate got {got} {unit}, {expected:.0f} expected, "
        f"p {p:.1g} < {MISMATCH_P:g}: the arms cannot be compared"
    )


def missing_outcomes(minimum_share: float, own: Sequence[Check]) -> str:
    """Outcomes that are missing, above all in one arm only, may hide the damage; '' where they do not."""
    arms = {
        "champion": [check.champion for check in own],
        "candidate": [check.candidate for check in own],
    }
    answered = {name: sum(arm.answered for arm in side) for name, side in arms.items()}
    known = {name: sum(arm.with_outcome for arm in side) for name, side in arms.items()}
    for name, count in answered.items():
        if count == 0:
            return f"no matured answer of the {name} in this step yet"
    share = {name: known[name] / answered[name] for name in arms}
    low = min(share, key=lambda name: share[name])
    if share[low] < minimum_share:
        return (
            f"{low}: {known[low]} of {answered[low]} answers have an outcome, "
            f"share {share[low]:.3f} < {minimum_share:g}"
        )
    gap = abs(share["candidate"] - share["champion"])
    both = sum(known.values()) / sum(answered.values())
    error = math.sqrt(both * (1 - both) * sum(1 / count for count in answered.values()))
    if gap > OUTCOME_SHARE_GAP and math.erfc(gap / (error * math.sqrt(2))) < MISMATCH_P:
        return (
            f"outcomes are missing unevenly: candidate share {share['candidate']:.3f}, "
            f"champion {share['champion']:.3f}, difference > {OUTCOME_SHARE_GAP:g}"
        )
    return ""
