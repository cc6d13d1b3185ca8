"""What must hold before a rollout begins."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.errors import ConcurrentChange, EndpointError, InputError
from interlock.rollout.journal import Started


def require_same(journal: Started, asked: Started) -> None:
    """:class:`InputError` unless a rollout that has begun is begun again with the same versions."""
    same = (journal.champion_version, journal.candidate_version, journal.candidate_deployed) == (
        asked.champion_version,
        asked.candidate_version,
        asked.candidate_deployed,
    )
    if not same:
        raise InputError(
            f"rollout began with version {journal.candidate_version} against {journal.champion_version}, "
            f"not {asked.candidate_version} against {asked.champion_version}: give a new rollout its own id"
        )


def require_free(endpoint: str, rollout_id: str, unsettled: Sequence[str]) -> None:
    """:class:`ConcurrentChange` if another rollout on ``endpoint`` is not settled: two would pull at one traffic."""
    others = [other for other in unsettled if other != rollout_id]
    if others:
        raise ConcurrentChange(
            f"endpoint {endpoint} has rollout {others[-1]} under way: rollout {rollout_id} does not begin; "
            "wait for it, or if its pipeline is dead end it with `interlock settle` or `interlock rollback`"
        )


def require_ready(started: Started, versions: dict[str, str]) -> None:
    """:class:`EndpointError` unless both versions are deployed as said and the champion has all traffic."""
    pairs = [
        (started.champion_deployed, started.champion_version),
        (started.candidate_deployed, started.candidate_version),
    ]
    for deployed, version in pairs:
        if deployed and versions.get(deployed) != version:
            raise EndpointError(
                f"endpoint {started.endpoint} has {versions.get(deployed)!r} deployed as {deployed}, "
                f"not version {version}: deploy it first"
            )
    allowed = (
        [{started.champion_deployed: 100}] if started.champion_deployed else [{}, {started.candidate_deployed: 100}]
    )
    if started.traffic not in allowed:
        raise EndpointError(
            f"endpoint {started.endpoint} has traffic {started.traffic}, a rollout begins from {allowed[0]}: "
            "settle or roll back what is under way first"
        )
