"""How a rollout ends, whatever happened to it: traffic and alias ``production`` on the same version.

::

    running, promoting ---> withdraw: traffic, alias, cleanup      candidate keeps `staging`, may try again
    rolling back, rolled back ---> traffic, alias, quarantine, cleanup
    promoted -------------> alias (as promoted)
    aborted --------------> alias follows the traffic that the person set

Every action may be repeated: a second settle, or one after a crash in the middle of the first, ends the same.
"""

from __future__ import annotations

import msgspec

from interlock.errors import EndpointError
from interlock.registry.aliases import PREVIOUS, PRODUCTION, STAGING
from interlock.rollout.journal import Promoted, Quarantined, RolledBack, RolloutJournal, Started
from interlock.rollout.ports import Clock, Endpoint, Registry
from interlock.rollout.rescoring import Rescorer
from interlock.rollout.state import Phase, State
from interlock.rollout.traffic import set_traffic, split


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended, the version in production ('' = none), and the traffic by deployed model id.

    ``journal_problem``: why the journal does not know it, '' if it does. ``moved``: false where an order found
    everything as it wants it.
    """

    outcome: str
    production: str
    traffic: dict[str, int]
    journal_problem: str = ""
    moved: bool = True


class Ports(msgspec.Struct, frozen=True):
    """The journal and the outside world of one rollout."""

    journal: RolloutJournal
    endpoint: Endpoint
    registry: Registry
    clock: Clock
    rescorer: Rescorer


def restore_traffic(ports: Ports, state: State, *, forced: bool) -> None:
    """All traffic back on the champion; with no champion, no version answers."""
    require_champion(ports.endpoint, state.start)
    champion = state.start.champion_deployed
    set_traffic(ports.journal, ports.endpoint, state, {champion: 100} if champion else {}, forced=forced)


def require_champion(endpoint: Endpoint, start: Started) -> None:
    """:class:`EndpointError` if there is a champion and it is not deployed any more."""
    champion, version = start.champion_deployed, start.champion_version
    if champion and champion not in endpoint.read().versions:
        raise EndpointError(
            f"version {version} is no longer deployed as {champion}: deploy version {version} again first"
        )


def complete_rollback(ports: Ports, state: State) -> None:
    """Traffic first, then alias, then quarantine, then cleanup. Needs ``rolling_back`` in the journal."""
    start = state.start
    assert state.decided is not None
    if state.phase is Phase.ROLLING_BACK:
        restore_traffic(ports, state, forced=state.decided.forced)
        seconds = ports.clock.now() - state.decided_at
        ports.journal.append(RolledBack(reason=state.decided.reason, seconds=seconds))
    restore_aliases(ports.registry, start)
    ports.registry.remove_alias(start.candidate_version, STAGING)
    ports.registry.quarantine(start.candidate_version)
    ports.journal.append(Quarantined(version=start.candidate_version))
    undeploy(ports.endpoint, start.candidate_deployed)


def withdraw(ports: Ports, state: State) -> None:
    """End a rollout that nothing speaks against: back to the champion, no quarantine."""
    start = state.start
    restore_traffic(ports, state, forced=False)
    restore_aliases(ports.registry, start)
    if state.phase is Phase.PROMOTING and ports.registry.version_with(STAGING) is None:
        ports.registry.set_alias(start.candidate_version, STAGING)
    undeploy(ports.endpoint, start.candidate_deployed)


def complete_promotion(ports: Ports, state: State) -> None:
    """Traffic, then aliases. The champion stays deployed, at 0 %. Needs ``promoting`` in the journal."""
    start = state.start
    ports.registry.set_alias(start.candidate_version, PRODUCTION)
    if start.champion_version:
        ports.registry.set_alias(start.champion_version, PREVIOUS)
    ports.registry.remove_alias(start.candidate_version, STAGING)
    if state.phase is Phase.PROMOTING:
        ports.journal.append(Promoted(version=start.candidate_version))


def restore_aliases(registry: Registry, start: Started) -> None:
    """``production`` and ``previous`` as they were before the rollout."""
    if start.champion_version:
        registry.set_alias(start.champion_version, PRODUCTION)
    else:
        registry.remove_alias(start.candidate_version, PRODUCTION)
    if start.previous:
        registry.set_alias(start.previous, PREVIOUS)
    elif start.champion_version:
        registry.remove_alias(start.champion_version, PREVIOUS)


def follow_traffic(ports: Ports, state: State) -> str:
    """Give ``production`` to the version with most of the traffic; the version, '' if none has any."""
    found = ports.endpoint.read()
    shares: dict[str, int] = {}
    for deployed, percent in split(found.traffic).items():
        version = found.versions.get(deployed, "")
        shares[version] = shares.get(version, 0) + percent
    holder = ports.registry.version_with(PRODUCTION)
    most = max(shares, key=lambda version: (shares[version], version == holder), default="")
    if most:
        ports.registry.set_alias(most, PRODUCTION)
    elif holder == state.start.candidate_version:
        ports.registry.remove_alias(holder, PRODUCTION)
    return most


def undeploy(endpoint: Endpoint, deployed_model_id: str) -> None:
    """Take a version off the endpoint if it is there and has no traffic."""
    found = endpoint.read()
    if deployed_model_id in found.versions and deployed_model_id not in split(found.traffic):
        endpoint.undeploy(deployed_model_id)
