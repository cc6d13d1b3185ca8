"""What a rollout needs from outside. The Vertex AI adapters and the tests' fakes both fit these."""

from __future__ import annotations

import time
from typing import Protocol

import msgspec


class EndpointState(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as read: percent by deployed model id (ids at 0 % may be left out), and who is deployed."""

    etag: str
    traffic: dict[str, int]
    versions: dict[str, str]


class Endpoint(Protocol):
    """One endpoint. Every write is a compare-and-set."""

    def read(self) -> EndpointState:
        """The endpoint as it is now."""
        ...

    def set_traffic(self, traffic: dict[str, int], etag: str) -> None:
        """Set the whole split (sum 100, or empty: no version answers).

        Raises :class:`~interlock.errors.ConcurrentChange` when ``etag`` is stale.
        """
        ...

    def undeploy(self, deployed_model_id: str) -> None:
        """Take a version at 0 % off the endpoint. It may already be gone."""
        ...


class Registry(Protocol):
    """The versions of one model. Every call may be repeated."""

    def version_with(self, alias: str) -> str | None:
        """The version that carries ``alias``."""
        ...

    def set_alias(self, version: str, alias: str) -> None:
        """Give ``alias`` to ``version``, taking it from whichever version has it."""
        ...

    def remove_alias(self, version: str, alias: str) -> None:
        """Take ``alias`` from ``version``; nothing happens if it does not carry it."""
        ...

    def quarantine(self, version: str) -> None:
        """Bar ``version`` from promotion."""
        ...


class Clock(Protocol):
    """Time, so that tests need not wait."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The real one."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
