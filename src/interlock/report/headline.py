"""What happened, in sentences made from the data."""

from __future__ import annotations

from typing import Literal

import msgspec

from interlock.report import wording
from interlock.report.run import RolloutReport, RunReport, VersionReport
from interlock.report.timeline import deciding_reason
from interlock.report.trajectory import compared

PASS = "pass"


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence, its verdict in a word, and the inequality behind it ('' = nothing was compared)."""

    kind: Literal["good", "bad", "open"]
    word: str
    sentence: str
    reason: str = ""


def headlines(run: RunReport) -> list[Headline]:
    """One per candidate that was kept out by a gate and one per rollout with a champion, in that order.

    A first deployment is told only where there is nothing else to tell.
    """
    kept_out = [_kept_out(version) for version in run.versions if not version.gates.passed]
    told = [r for r in run.rollouts if r.champion] or run.rollouts
    return [*kept_out, *(rollout_headline(rollout, run.versions) for rollout in told)]


def rollout_headline(rollout: RolloutReport, versions: list[VersionReport]) -> Headline:
    """The rollout in one sentence; ``versions`` tell what the gates had said."""
    name, reason = f"Version {rollout.candidate}", deciding_reason(rollout)
    gates = _gates_clause(rollout.candidate, versions)
    if rollout.outcome == "promoted" and not rollout.champion:
        sentence = f"{name} went to production as the first version: there was no champion to compare with."
        return Headline(kind="good", word="promoted", sentence=sentence, reason=reason)
    if rollout.outcome == "promoted":
        requests = sum(check.requests for _, check in compared(rollout.entries))
        shown = f"shown to be not worse than version {rollout.champion}"
        sentence = f"{name} {gates}was promoted after {wording.plural(requests, 'request')}: it was {shown}."
        return Headline(kind="good", word="promoted", sentence=sentence, reason=reason)
    if rollout.outcome == "rolled back":
        served = wording.plural(rollout.candidate_requests, "request")
        sentence = f"{name} {gates}was rolled back after it had served {served}{_restored(rollout)}."
        return Headline(kind="bad", word="rolled back", sentence=sentence, reason=reason)
    sentence = f"The rollout of version {rollout.candidate} ended without a verdict: {rollout.outcome}."
    return Headline(kind="open", word=rollout.outcome, sentence=sentence, reason=reason)


def _gates_clause(candidate: str, versions: list[VersionReport]) -> str:
    version = next((version for version in versions if version.version == candidate), None)
    return "passed every offline gate and " if version and version.gates.passed else ""


def _restored(rollout: RolloutReport) -> str:
    if rollout.seconds_to_restore is None:
        return ""
    back = f"version {rollout.champion}" if rollout.champion else "no version"
    return f"; {wording.seconds(rollout.seconds_to_restore)} after the decision, all traffic was back on {back}"


def _kept_out(version: VersionReport) -> Headline:
    closed = [rule for rule in version.gates.rules if rule.verdict != PASS and rule.blocking]
    rules = wording.plural(len(closed), "rule")
    sentence = f"{wording.capital(version.name)} was kept out by the gates: {rules} closed."
    return Headline(kind="bad", word="kept out", sentence=sentence, reason=closed[0].reason if closed else "")
