"""How an attempt ended, read back from registry, journal and serving log: nothing is taken from memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import sqlalchemy as sa

from interlock.config import Config
from interlock.contracts import DataVerdict, Evaluation, GateReport, Manifest, Place, read_contract
from interlock.errors import RegistryError
from interlock.report.run import RolloutReport, VersionReport
from interlock.rollout.history import rollouts
from interlock.rollout.journal import Entry, Evaluated, Judged, RolledBack, RollingBack, Settled, Started
from interlock.vertex.registry import VertexModelRegistry
from interlock.warehouse import open_warehouse, request_response_log


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One version's story. ``reason`` is the inequality that decided."""

    version: str
    outcome: str
    reason: str
    rollout: RolloutReport
    model: VersionReport


def read_attempt(place: Place, config: Config, *, title: str, window: list[str]) -> Attempt:
    """The newest rollout on the config's endpoint and the version it was about."""
    engine = open_warehouse(place.warehouse)
    found = rollouts(engine, config.name)
    if not found:
        raise RegistryError(f"endpoint {config.name} has no rollout in its journal: the deployment did not begin")
    rollout_id, entries = found[-1]
    start = next(entry.event for entry in entries if isinstance(entry.event, Started))
    outcome = next((e.event.outcome for e in reversed(entries) if isinstance(e.event, Settled)), "not settled")
    restored = next((e.event.seconds for e in entries if isinstance(e.event, RolledBack)), None)
    rollout = RolloutReport(
        title=title,
        rollout_id=rollout_id,
        candidate=start.candidate_version,
        champion=start.champion_version,
        outcome=outcome,
        entries=entries,
        strategy=config.strategy,
        metrics=config.metrics,
        candidate_requests=requests_to(engine, config.name, start.candidate_deployed),
        seconds_to_restore=restored,
    )
    return Attempt(
        version=start.candidate_version,
        outcome=outcome,
        reason=deciding_reason(entries),
        rollout=rollout,
        model=read_version(place, config, start.candidate_version, title=title, window=window),
    )


def read_version(place: Place, config: Config, version: str, *, title: str, window: list[str]) -> VersionReport:
    """What the registry holds about ``version``."""
    registry = VertexModelRegistry(place, config.name)
    found = registry.find(version)
    if found is None:
        raise RegistryError(f"version {version} of {config.name} is not in the registry")
    with tempfile.TemporaryDirectory() as name:
        folder = registry.fetch(found, Path(name))
        return VersionReport(
            version=version,
            title=title,
            window=window,
            aliases=[alias for alias in found.aliases if alias != "default"],
            manifest=read_contract(folder / "manifest.json", Manifest),
            verdict=read_contract(folder / "data_verdict.json", DataVerdict),
            evaluation=read_contract(folder / "evaluation.json", Evaluation),
            gates=read_contract(folder / "gate_report.json", GateReport),
        )


def deciding_reason(entries: list[Entry]) -> str:
    """The inequality of a rollback, else of the last verdict, else why there was none."""
    for entry in reversed(entries):
        if isinstance(entry.event, RollingBack):
            return entry.event.reason
    judged = [entry.event.verdict.reason for entry in entries if isinstance(entry.event, Judged)]
    if judged:
        return judged[-1]
    evaluated = [entry.event.verdict.reason for entry in entries if isinstance(entry.event, Evaluated)]
    return evaluated[-1] if evaluated else "no verdict"


def requests_to(engine: sa.Engine, endpoint: str, deployed_model_id: str) -> int:
    """Requests a deployed model answered, all told."""
    log = request_response_log.c
    count = sa.select(sa.func.count()).where(log.endpoint == endpoint, log.deployed_model_id == deployed_model_id)
    with engine.connect() as connection:
        return int(connection.execute(count).scalar_one())
