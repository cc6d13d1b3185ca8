"""``interlock rollback``, ``settle`` and ``approve``: what a person does to a rollout."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from interlock.commands.place import chosen_place
from interlock.config import load_config


def run(
    config: Path,
    state: Path,
    *,
    reason: str,
    to: str,
    lift: str,
    console: Console,
    replace_staging: bool = False,
    place: Path | None = None,
) -> None:
    """Back to the version before, or to ``to``; with ``lift`` only end that version's quarantine."""
    from interlock.vertex import rollback

    where, parsed = chosen_place(state, place), load_config(config)
    if lift:
        rollback.lift(where, parsed, lift, replace_staging=replace_staging)
        console.print(f"version {lift} is no longer quarantined; it has alias staging")
        return
    outcome = rollback.roll_back(where, parsed, reason, to=to)
    if outcome.moved:
        console.print(f"{outcome.outcome}: version {outcome.production or 'none'} is in production")
    else:
        console.print(
            f"nothing moved: the newest rollout went back before, and version {outcome.production} is in production; "
            f"`interlock rollback -c {config} --to VERSION` puts another one there",
            soft_wrap=True,
        )
    if outcome.journal_problem:
        console.print(f"the journal does not know it: {outcome.journal_problem}")


def run_settle(config: Path, state: Path, *, console: Console, place: Path | None = None) -> None:
    """Settle what is open."""
    from interlock.vertex.rollout import settle_open

    settled = settle_open(chosen_place(state, place), load_config(config))
    for rollout, end in settled:
        console.print(f"rollout {rollout} {end.outcome}: version {end.production or 'none'} is in production")
    if not settled:
        console.print("no rollout is under way")


def run_approve(config: Path, state: Path, *, by: str, console: Console, place: Path | None = None) -> None:
    """Agree with the step a rollout waits in."""
    from interlock.vertex.rollout import approve

    step = approve(chosen_place(state, place), load_config(config), by)
    console.print(f"step {step + 1} approved by {by}")
