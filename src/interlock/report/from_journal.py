"""A rollout's report from its journal alone, also while the rollout is under way."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from interlock.config import Config
from interlock.report.run import RolloutReport
from interlock.rollout.journal import Entry, RolledBack, RolloutJournal
from interlock.rollout.state import State, fold


def rollout_report(engine: sa.Engine, config: Config, rollout_id: str) -> RolloutReport | None:
    """What the journal of ``rollout_id`` tells; None if the rollout never began."""
    entries = RolloutJournal(engine, rollout_id).entries()
    state = fold(entries)
    if state.started is None:
        return None
    answered = sum(check.candidate.requests for check in (*state.checks, *state.after_promotion))
    return report_of(rollout_id, entries, state, config, candidate_requests=answered)


def report_of(
    rollout_id: str, entries: Sequence[Entry], state: State, config: Config, *, candidate_requests: int
) -> RolloutReport:
    """The same from a journal that has been read: ``state`` is the fold of ``entries``."""
    start = state.start
    against = f" against {start.champion_version}" if start.champion_version else ""
    return RolloutReport(
        title=f"{config.name}: version {start.candidate_version}{against}",
        rollout_id=rollout_id,
        candidate=start.candidate_version,
        champion=start.champion_version,
        outcome=state.settled.outcome if state.settled else str(state.phase),
        entries=list(entries),
        strategy=config.strategy,
        metrics=config.metrics,
        candidate_requests=candidate_requests,
        seconds_to_restore=next((e.event.seconds for e in entries if isinstance(e.event, RolledBack)), None),
    )


def timeline_html(warehouse: str, config: Config, rollout_id: str) -> str:
    """The evidence timeline as one HTML page, for the artifact of a pipeline's task."""
    from interlock.report.page import render_rollout
    from interlock.warehouse import open_warehouse

    report = rollout_report(open_warehouse(warehouse), config, rollout_id)
    return render_rollout(report) if report else f"<p>rollout {rollout_id} did not begin</p>"
