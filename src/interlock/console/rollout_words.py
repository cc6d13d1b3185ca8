"""One sentence on where a rollout stands."""

from __future__ import annotations

from interlock.console.reading import Told
from interlock.rollout.state import Phase


def candidate_percent(told: Told) -> int:
    """The candidate's share of the traffic, as the journal knows it."""
    return told.state.traffic.get(told.start.candidate_deployed, 0)


def step_of(told: Told) -> int:
    """Index of the step that began last, -1 before the first."""
    return max(told.state.step_began, default=-1)


def standing(told: Told) -> str:
    """For people; without counts, so that it changes only when something happens."""
    start, name = told.start, f"{told.endpoint}: version {told.start.candidate_version}"
    against = f" against version {start.champion_version}" if start.champion_version else ""
    if told.state.settled is not None:
        production = told.state.settled.production
        return f"{name} {told.outcome}; production is {f'version {production}' if production else 'empty'}."
    if told.state.phase is Phase.RUNNING:
        step = step_of(told)
        where = f"in step {step + 1} with {candidate_percent(told)} % of the traffic" if step >= 0 else "deployed"
        return f"{name}{against} is {where}."
    where = {
        Phase.PROMOTING: "is being promoted",
        Phase.PROMOTED: "is promoted and now evaluated on live outcomes",
        Phase.ROLLING_BACK: "is being rolled back",
        Phase.ROLLED_BACK: "is rolled back",
        Phase.ABORTED: "was stopped by another change of the traffic",
    }.get(told.state.phase, str(told.state.phase))
    return f"{name}{against} {where}."
