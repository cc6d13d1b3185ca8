"""What is wrong with a rollout plan, in sentences: what no evidence can help, and what the simulation shows."""

from __future__ import annotations

from interlock.config import Strategy


def impossible(strategy: Strategy, per_second: float) -> list[str]:
    """What no evidence can help."""
    found = []
    for number, step in enumerate(strategy.steps, start=1):
        seconds = step.deadline_seconds - strategy.attribution_seconds
        gets = max(seconds, 0) * per_second
        if seconds <= 0:
            found.append(
                f"step {number}: outcomes take {strategy.attribution_seconds:g} s and the deadline is "
                f"{step.deadline_seconds:g} s: no outcome can be counted"
            )
        elif gets < step.minimum_requests:
            found.append(
                f"step {number}: {gets:.0f} requests until the deadline < minimum_requests {step.minimum_requests}: "
                f"it needs at least {step.minimum_requests / per_second + strategy.attribution_seconds:.0f} s"
            )
    limit = strategy.maximum_candidate_requests
    least = sum(step.minimum_requests * step.weight / 100 for step in strategy.steps)
    if limit is not None and least > limit:
        found.append(f"maximum_candidate_requests {limit} < {least:.0f}, what the steps need at least")
    return found


def unlikely(margin: float, promoted: float, undecided: float, detectable: float | None, power: float) -> list[str]:
    """What the simulation shows: shares of sound candidates, the smallest effect that is found, the last ``margin``."""
    found = []
    if promoted < power:
        found.append(
            f"a sound candidate is promoted in {promoted:.0%} of rollouts, undecided in {undecided:.0%}: "
            "the traffic cannot conclude this plan; give longer deadlines or wider margins"
        )
    if detectable is None or detectable > margin:
        what = "no effect up to +200 %" if detectable is None else f"nothing smaller than +{detectable:.0%}"
        found.append(f"{what} is rolled back in {power:.0%} of rollouts, and the last margin is +{margin:.0%}")
    return found
