"""Quarantine: a version that was rolled back is marked, leaves staging, and is not promoted again."""

from __future__ import annotations

from interlock.contracts import ModelVersion
from interlock.registry.aliases import STAGING, quarantine_alias
from interlock.registry.port import ModelRegistry


def quarantine(registry: ModelRegistry, version: str) -> None:
    """Mark ``version`` and take it out of staging. Doing it twice changes nothing."""
    registry.set_alias(version, quarantine_alias(version))
    registry.remove_alias(version, STAGING)


def is_quarantined(version: ModelVersion) -> bool:
    """Whether the version was rolled back before."""
    return quarantine_alias(version.version) in version.aliases
