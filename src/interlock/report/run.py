"""What a report is made of: the contracts and journals of a run, put together by whoever ran it."""

from __future__ import annotations

import msgspec

from interlock.config import Metric, Strategy
from interlock.contracts import DataVerdict, Evaluation, GateReport, Manifest
from interlock.rollout.journal import Entry, Started


class VersionReport(msgspec.Struct, frozen=True, kw_only=True):
    """One trained model. ``version`` is '' when the gates kept it out of the registry.

    ``title`` says for people how it was trained; ``window`` names the data, for instance two months.
    """

    version: str
    title: str
    window: list[str]
    aliases: list[str]
    manifest: Manifest
    verdict: DataVerdict
    evaluation: Evaluation
    gates: GateReport

    @property
    def name(self) -> str:
        """``version 2``, or the title of what was never registered."""
        return f"version {self.version}" if self.version else self.title


class RolloutReport(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate on its way to production; ``champion`` is '' for a first deployment.

    ``outcome`` is the settled one: ``promoted``, ``rolled back``, ``aborted`` or ``withdrawn``. ``entries``
    are the journal's, oldest first: the only source of the timeline. ``candidate_requests``: all that the
    candidate answered until the end. ``seconds_to_restore``: from the decision to roll back until the
    traffic was back, None where there was none.
    """

    title: str
    rollout_id: str
    candidate: str
    champion: str
    outcome: str
    entries: list[Entry]
    strategy: Strategy
    metrics: list[Metric]
    candidate_requests: int
    seconds_to_restore: float | None

    @property
    def start(self) -> Started | None:
        """The journal's first event; None for a rollout that never began."""
        return next((e.event for e in self.entries if isinstance(e.event, Started)), None)

    @property
    def began(self) -> float:
        """Seconds since 1970 of the first entry; 0 without any."""
        return self.entries[0].time if self.entries else 0.0


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run, in order. ``started``: seconds since 1970, UTC; ``seconds``: how long it took."""

    title: str
    started: float
    seconds: float
    versions: list[VersionReport]
    rollouts: list[RolloutReport]
