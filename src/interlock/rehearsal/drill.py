"""``interlock drill``: a fault is put into a candidate, and the rollback has to happen by itself.

::

    sound version in production ── candidate with a fault ── canary under real load ── rolled back?
                                                                  │
       fault ──first request it answers──> seen in the log ──evidence──> decided ──> traffic restored

Real: emulator, endpoint, registry, warehouse, controller, load over HTTP. Played: the model server
(:mod:`interlock.rehearsal.actor`), because a fault has to be there on demand. ``dead metric source`` takes the
outcome table away instead, and must end at the step's deadline.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import sqlalchemy as sa

from interlock.contracts import ModelVersion
from interlock.errors import ConfigError
from interlock.registry.aliases import PRODUCTION, quarantine_alias
from interlock.rehearsal.load import Load
from interlock.rehearsal.stage import CONFIG, Stage, stage
from interlock.rollout.controller import Rollout
from interlock.rollout.emergency import shares
from interlock.rollout.journal import Judged, RolledBack, RollingBack, TrafficSet
from interlock.vertex.rollout import open_rollout
from interlock.warehouse import open_warehouse, outcomes, request_response_log

DEAD_SOURCE = "dead metric source"
FAULTS = ("latency", "errors", "flipped labels", "null feature", "dead replica", DEAD_SOURCE)
DRILL_CONFIG = CONFIG.replace("attribution_seconds: 0.3", "attribution_seconds: 1.0")


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. ``passed``: rolled back, traffic and alias on the old version, candidate quarantined.

    ``seconds_to_decide`` from the candidate's first share of traffic until the decision; ``seconds_to_restore`` from
    there until the traffic was back. ``exposed``: requests the candidate answered or failed. ``lost``: requests of
    the whole load that got no 200.
    """

    fault: str
    passed: bool
    outcome: str
    seconds_to_decide: float
    seconds_to_restore: float
    exposed: int
    lost: int
    reason: str


def drill(folder: Path, faults: Sequence[str] = FAULTS, *, per_second: int = 400) -> list[Drill]:
    """Each fault in turn, on an emulator with its state in ``folder``."""
    unknown = [fault for fault in faults if fault not in FAULTS]
    if unknown:
        raise ConfigError(f"fault {', '.join(unknown)} is not known; there are {', '.join(FAULTS)}")
    with stage(folder, DRILL_CONFIG) as ground:
        sound = ground.upload("sound")
        return [_one(ground, sound, fault, per_second) for fault in faults]


def _one(ground: Stage, sound: ModelVersion, fault: str, per_second: int) -> Drill:
    candidate = ground.upload("sound" if fault == DEAD_SOURCE else fault)
    deployed = ground.ready(sound, candidate)
    rollout = open_rollout(ground.place, ground.config, f"drill-{fault.replace(' ', '-')}")
    with Load(ground.place, ground.config.name, per_second) as load:
        _until_logged(ground, deployed[0])
        rollout.begin(sound.version, candidate.version, *deployed)
        outcome = _drive(ground, rollout, fault)
    rollout.settle()
    return _report(ground, rollout, sound, candidate, fault=fault, outcome=outcome, load=load)


def _drive(ground: Stage, rollout: Rollout, fault: str) -> str:
    """The steps of the pipeline, until it ends or everything passed."""
    if fault == DEAD_SOURCE:
        # Taken away once the first step runs, and given back for what comes after.
        threading.Timer(0.5, lambda: _rename(ground, "outcomes", "outcomes_gone")).start()
    try:
        for step in range(len(rollout.strategy.steps)):
            rollout.shift(step)
            outcome = str(rollout.judge(step))
            if outcome != "continue":
                return outcome
        return "not rolled back"
    finally:
        if fault == DEAD_SOURCE:
            _rename(ground, "outcomes_gone", "outcomes")


def _rename(ground: Stage, old: str, new: str) -> None:
    engine = sa.create_engine(ground.place.warehouse, connect_args={"timeout": 30})
    with engine.begin() as connection:
        if new == outcomes.name:  # an engine that opened meanwhile has made an empty one
            connection.execute(sa.text(f"DROP TABLE IF EXISTS {new}"))
        connection.execute(sa.text(f"ALTER TABLE {old} RENAME TO {new}"))
    engine.dispose()


def _until_logged(ground: Stage, deployed: str, rows: int = 200, seconds: float = 30.0) -> None:
    """Wait until the version in production has a past to be compared with."""
    engine, log = open_warehouse(ground.place.warehouse), request_response_log.c
    query = sa.select(sa.func.count()).where(log.deployed_model_id == deployed, log.status == 200)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            if connection.execute(query).scalar_one() >= rows:
                break
        time.sleep(0.1)
    engine.dispose()


def _report(
    ground: Stage,
    rollout: Rollout,
    sound: ModelVersion,
    candidate: ModelVersion,
    *,
    fault: str,
    outcome: str,
    load: Load,
) -> Drill:
    entries = rollout.ports.journal.entries()
    first = next((e.time for e in entries if isinstance(e.event, TrafficSet)), 0.0)
    decided = next((e.time for e in entries if isinstance(e.event, RollingBack)), first)
    restored = next((e.event.seconds for e in entries if isinstance(e.event, RolledBack)), float("nan"))
    judged = [e.event.verdict.reason for e in entries if isinstance(e.event, Judged)]
    reason = next((e.event.reason for e in entries if isinstance(e.event, RollingBack)), judged[-1] if judged else "")
    back = (
        shares(ground.endpoint.read()) == {sound.version: 100}
        and ground.registry.version_with(PRODUCTION) == sound.version
        and ground.registry.version_with(quarantine_alias(candidate.version)) == candidate.version
    )
    return Drill(
        fault=fault,
        passed=outcome == "rolled back" and back,
        outcome=outcome,
        seconds_to_decide=round(decided - first, 2),
        seconds_to_restore=round(restored, 3),
        exposed=rollout.source.exposed(rollout.state()),
        lost=sum(one.status != 200 for one in load.sent),
        reason=reason,
    )
