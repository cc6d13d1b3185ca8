"""One call back: by the newest rollout's journal, else by aliases and endpoint; deployed again where needed."""

from __future__ import annotations

import time

import msgspec
import sqlalchemy as sa

from interlock.config import Config
from interlock.contracts import Place
from interlock.errors import EndpointError, EvidenceError, RegistryError
from interlock.registry.aliases import PRODUCTION, STAGING, quarantine_alias
from interlock.registry.quarantine import is_quarantined
from interlock.rollout import emergency
from interlock.rollout.deploy import deployed_as
from interlock.rollout.history import newest_rollout
from interlock.rollout.journal import Entry, LossyJournal, Ordered, RolloutJournal
from interlock.rollout.settlement import Settlement
from interlock.rollout.state import Phase, fold
from interlock.rollout.traffic import split
from interlock.vertex.endpoint import VertexEndpoint
from interlock.vertex.registry import VertexModelRegistry
from interlock.vertex.rollout import open_rollout
from interlock.warehouse import open_warehouse

WAREHOUSE_SECONDS = 1.0  # how long a rollback waits for a warehouse that may be dead


def roll_back(place: Place, config: Config, reason: str, *, to: str = "") -> Settlement:
    """All traffic and ``production`` back to the version before, or to version ``to``, deployed again if it is gone.

    The versions that lose the traffic are quarantined. Works without a pipeline and without a warehouse. Where the
    newest rollout went back already, nothing moves: a second order must not undo the version before as well.
    """
    began = time.monotonic()
    endpoint, registry = VertexEndpoint(place, config.name), VertexModelRegistry(place, config.name)
    production, before = registry.version_with(PRODUCTION) or "", split(endpoint.read().traffic)
    try:
        id_, entries = newest_rollout(open_warehouse(place.warehouse, WAREHOUSE_SECONDS), config.name)
    except (EvidenceError, sa.exc.SQLAlchemyError):
        id_, entries = "", []
    if id_ and _by_journal(entries, endpoint, production, to):
        rollout = open_rollout(place, config, id_, WAREHOUSE_SECONDS)
        rollout.roll_back(reason)
        problem, settled = rollout.journal_problem, rollout.settle()
        moved = (settled.production, settled.traffic) != (production, before)
        return msgspec.structs.replace(settled, journal_problem=problem, moved=moved)
    target = to or _champion(entries, production) or emergency.version_before(endpoint, registry)
    _require_sound(registry, target)
    _deploy_if_gone(place, config, endpoint, target)
    emergency.restore(endpoint, registry, target, quarantine=True)
    problem = _write(place, config, production, target, reason, time.monotonic() - began)
    if id_ and not problem and fold(entries).settled is None:
        open_rollout(place, config, id_, WAREHOUSE_SECONDS).settle()  # sees the new traffic and ends
    traffic = split(endpoint.read().traffic)
    return Settlement(outcome="rolled back", production=target, traffic=traffic, journal_problem=problem)


def lift(place: Place, config: Config, version: str, *, replace_staging: bool = False) -> None:
    """Take the quarantine off ``version``, and put it in staging.

    :class:`RegistryError` where another version waits in staging, which would silently never be deployed;
    ``replace_staging`` takes its place.
    """
    registry = VertexModelRegistry(place, config.name)
    found = registry.find(version)
    if found is None or not is_quarantined(found):
        raise RegistryError(f"version {version} of {config.name} is not quarantined: nothing to lift")
    waiting = registry.version_with(STAGING)
    if waiting not in (None, version) and not replace_staging:
        raise RegistryError(
            f"version {waiting} of {config.name} waits in {STAGING}, and version {version} would take its place: "
            f"deploy version {waiting} first, or say so with `interlock rollback --lift {version} --replace-staging`"
        )
    registry.remove_alias(version, quarantine_alias(version))
    registry.set_alias(version, STAGING)


def _by_journal(entries: list[Entry], endpoint: VertexEndpoint, production: str, to: str) -> bool:
    """Whether the newest rollout is the one to undo: its versions are still those that matter, and deployed."""
    state = fold(entries)
    start = state.start
    if state.phase is Phase.RUNNING and state.settled is not None:
        return False  # withdrawn or refused: it moved nothing
    return (
        to in ("", start.champion_version)
        and production in (start.champion_version, start.candidate_version)
        and bool(start.champion_version)
        and start.champion_deployed in endpoint.read().versions
    )


def _champion(entries: list[Entry], production: str) -> str:
    """The version that the one in production took over from, by the journal."""
    start = fold(entries).started
    return start.champion_version if start is not None and start.candidate_version == production else ""


def _require_sound(registry: VertexModelRegistry, version: str) -> None:
    found = registry.find(version)
    if found is None:
        raise RegistryError(f"version {version} is not in the registry: `interlock status` lists what is")
    if is_quarantined(found):
        raise RegistryError(
            f"version {version} is quarantined, it was rolled back before: name another one with --to, "
            f"or lift it with `interlock rollback --lift {version}`"
        )


def _deploy_if_gone(place: Place, config: Config, endpoint: VertexEndpoint, version: str) -> None:
    if deployed_as(endpoint, version):
        return
    found = VertexModelRegistry(place, config.name).find(version)
    if found is None:
        raise EndpointError(f"version {version} is neither deployed nor in the registry")
    endpoint.deploy(found, config.serving)


def _write(place: Place, config: Config, production: str, target: str, reason: str, seconds: float) -> str:
    """Tell the journal; why it could not be told, '' if it was."""
    event = Ordered(
        endpoint=config.name, from_version=production, to_version=target, reason=reason, seconds=round(seconds, 3)
    )
    try:
        engine = open_warehouse(place.warehouse, WAREHOUSE_SECONDS)
    except sa.exc.SQLAlchemyError as error:
        return f"warehouse cannot be opened: {str(getattr(error, 'orig', None) or error).splitlines()[0]}"
    journal = LossyJournal(RolloutJournal(engine, f"order-{time.time_ns()}"))
    journal.append(event)
    return journal.problem
