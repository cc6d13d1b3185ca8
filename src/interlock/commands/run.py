"""``interlock run``: a scenario from end to end, with its table and report at the end."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from interlock.errors import GateFailed
from interlock.local import stack
from interlock.rehearsal.run import Result, run_scenario
from interlock.rehearsal.table import decision_lines, summary_table
from interlock.report.page import write_report
from interlock.report.run import RunReport


def run(scenario: Path, state: Path, *, keep: bool, console: Console, runner: str = "") -> None:
    """Run it and say what happened; :class:`GateFailed` when a version ended otherwise than the scenario expects."""
    try:
        result = run_scenario(scenario, state, console, runner)
    finally:
        if not keep:
            stack.down(state)
    report = state / "report.html"
    write_report(_report(result), report)
    console.print()
    console.print(summary_table(result.attempts))
    console.print()
    for line in decision_lines(result.attempts):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print(f"\n{result.seconds:.0f} s; report: {report}")
    if not result.as_expected:
        ended = ", ".join(attempt.outcome for attempt in result.attempts)
        raise GateFailed(f"expected {', '.join(result.expected)}; got {ended}: read {report}")


def _report(result: Result) -> RunReport:
    return RunReport(
        title=f"{result.config.name}: {len(result.attempts)} versions",
        started=result.started,
        seconds=result.seconds,
        versions=[attempt.model for attempt in result.attempts],
        rollouts=[attempt.rollout for attempt in result.attempts],
    )
