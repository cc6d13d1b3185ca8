"""The rules of a traffic split: percentages over deployed model ids that sum to 100, or no entry at all.

Entries of 0 percent are kept as given. Assumption: the service keeps them too; the client accepts both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from interlock.emulator.rpc import invalid, precondition

NEW = "0"  # stands for the model being deployed


def check_split(split: Mapping[str, int], deployed: Collection[str]) -> dict[str, int]:
    """``split`` if it is possible over ``deployed``; INVALID_ARGUMENT names the id or the sum."""
    for identifier, share in split.items():
        if identifier not in deployed:
            known = ", ".join(sorted(deployed)) or "none"
            raise invalid(f"trafficSplit names {identifier!r}, which is not deployed here; deployed: {known}")
        if not 0 <= share <= 100:
            raise invalid(f"trafficSplit gives {identifier} {share} percent; give 0 to 100")
    total = sum(split.values())
    if split and total != 100:
        raise invalid(f"trafficSplit sums to {total}; the shares must sum to 100")
    return dict(split)


def split_after_deploy(
    current: Mapping[str, int], requested: Mapping[str, int], new_id: str, deployed: Collection[str]
) -> dict[str, int]:
    """The split once ``new_id`` is deployed; an empty request leaves it as it is."""
    if not requested:
        return dict(current)
    named = {new_id if identifier == NEW else identifier: share for identifier, share in requested.items()}
    return check_split(named, {*deployed, new_id})


def split_after_undeploy(
    current: Mapping[str, int], requested: Mapping[str, int], gone: str, deployed: Collection[str]
) -> dict[str, int]:
    """The split once ``gone`` is undeployed; refused if that would drop traffic. Empty after the last one."""
    remaining = set(deployed) - {gone}
    if not remaining:
        return {}
    if requested:
        return check_split({key: share for key, share in requested.items() if key != gone or share}, remaining)
    if current.get(gone, 0):
        raise precondition(f"{gone} has {current[gone]} percent of the traffic: give a trafficSplit without it")
    return {key: share for key, share in current.items() if key != gone}
