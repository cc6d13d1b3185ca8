"""Moving production without a rollout's journal: the warehouse is dead, or a person names the version.

What there is to go by are the endpoint and the aliases, and both are kept in step by every rollout::

    others than `production` and `previous` have traffic, or      a rollout is under way    back to `production`
    `previous` has more than a holdback, or is in staging again
    else                                                          nothing is under way      back to `previous`

Traffic first, then alias, then quarantine. The journal is told afterwards, if it listens.
"""

from __future__ import annotations

from interlock.errors import ConcurrentChange, EndpointError
from interlock.registry.aliases import PREVIOUS, PRODUCTION, STAGING
from interlock.rollout.ports import Endpoint, EndpointState, Registry
from interlock.rollout.traffic import ATTEMPTS, split

LEAST_IN_PRODUCTION = 95  # percent; the rest may be a holdback


def version_before(endpoint: Endpoint, registry: Registry) -> str:
    """The version to go back to; :class:`EndpointError` if there is none."""
    production, previous = registry.version_with(PRODUCTION), registry.version_with(PREVIOUS)
    if production and _under_way(endpoint.read(), registry, production):
        return production
    if not previous:
        raise EndpointError(
            f"version {production or 'none'} has all the traffic and no version has alias {PREVIOUS}: "
            "name the version with --to"
        )
    return previous


def restore(endpoint: Endpoint, registry: Registry, version: str, *, quarantine: bool) -> list[str]:
    """All traffic and ``production`` to ``version``, which is deployed; the versions that lost traffic.

    ``quarantine``: bar those from promotion.
    """
    left = switch_traffic(endpoint, version)
    registry.set_alias(version, PRODUCTION)
    registry.remove_alias(version, PREVIOUS)
    registry.remove_alias(version, STAGING)
    for other in left if quarantine else []:
        registry.quarantine(other)
    return left


def agree(endpoint: Endpoint, registry: Registry) -> str:
    """All traffic to the version with alias ``production``, if it is deployed; that version, '' without one."""
    production = registry.version_with(PRODUCTION) or ""
    found = endpoint.read()
    if production in found.versions.values() and _under_way(found, registry, production):
        switch_traffic(endpoint, production)
    return production


def _under_way(found: EndpointState, registry: Registry, production: str) -> bool:
    """Whether traffic goes elsewhere than to ``production`` and, as a holdback, to the version before it."""
    others = set(shares(found)) - {production}
    held_back = {registry.version_with(PREVIOUS)} - {registry.version_with(STAGING)}
    return bool(others - held_back) or shares(found).get(production, 0) < LEAST_IN_PRODUCTION


def switch_traffic(endpoint: Endpoint, version: str) -> list[str]:
    """All traffic to ``version``; the other versions that had some. A lost race is tried again."""
    for _ in range(ATTEMPTS):
        found = endpoint.read()
        deployed = next((id_ for id_, there in found.versions.items() if there == version), "")
        if not deployed:
            raise EndpointError(f"version {version} is not deployed: deploy version {version} again first")
        left = sorted(other for other in shares(found) if other != version)
        if split(found.traffic) == {deployed: 100}:
            return left
        try:
            endpoint.set_traffic({deployed: 100}, found.etag)
        except ConcurrentChange:
            continue
        return left
    raise ConcurrentChange(f"endpoint kept changing: version {version} not set in {ATTEMPTS} attempts; try again")


def shares(found: EndpointState) -> dict[str, int]:
    """Percent by version, versions without traffic left out."""
    percent: dict[str, int] = {}
    for deployed, share in split(found.traffic).items():
        version = found.versions.get(deployed, "")
        percent[version] = percent.get(version, 0) + share
    return percent
