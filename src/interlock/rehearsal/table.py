"""The end of the main job on one screen."""

from __future__ import annotations

from rich.table import Table

from interlock.rehearsal.outcome import Attempt
from interlock.rollout.journal import Entry, Started, TrafficSet


def summary_table(attempts: list[Attempt]) -> Table:
    """One row per version."""
    table = Table(title="Versions", title_justify="left", box=None, header_style="bold")
    table.pad_edge, table.padding = False, (0, 1, 0, 0)
    for name in ("version", "aliases", "gates"):
        table.add_column(name, no_wrap=True)
    for name in ("auc", "cost", "requests"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("traffic %", no_wrap=True)
    table.add_column("ended", no_wrap=True)
    for attempt in attempts:
        measures = {m.metric: m.value for m in attempt.model.evaluation.measures if not m.slice}
        rules = [rule for rule in attempt.model.gates.rules if rule.verdict == "pass"]
        table.add_row(
            attempt.version,
            " ".join(attempt.model.aliases) or "-",
            f"{len(rules)} passed" if attempt.model.gates.passed else "closed",
            _number(measures.get("auc")),
            _number(measures.get("cost")),
            f"{attempt.rollout.candidate_requests:,}",
            " ".join(str(share) for share in shares(attempt.rollout.entries)),
            attempt.outcome,
        )
    return table


def shares(entries: list[Entry]) -> list[int]:
    """The candidate's share of the traffic, each time it was set."""
    start = next((entry.event for entry in entries if isinstance(entry.event, Started)), None)
    if start is None:
        return []
    set_ = [entry.event.traffic for entry in entries if isinstance(entry.event, TrafficSet)]
    return [traffic.get(start.candidate_deployed, 0) for traffic in set_]


def decision_lines(attempts: list[Attempt]) -> list[str]:
    """Per version: how it was trained, what decided, and for a rollback what it cost and how fast it was."""
    lines = []
    for attempt in attempts:
        line = f"version {attempt.version} ({attempt.model.title}) {attempt.outcome}: {attempt.reason}"
        if attempt.rollout.seconds_to_restore is not None:
            line += (
                f"; it had served {attempt.rollout.candidate_requests:,} requests, traffic was back "
                f"{attempt.rollout.seconds_to_restore:.2f} s after the decision"
            )
        lines.append(line)
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
