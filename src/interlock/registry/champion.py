"""The model in production, as files."""

from __future__ import annotations

from pathlib import Path

from interlock.registry.aliases import PRODUCTION
from interlock.registry.port import ModelRegistry


def fetch_champion(registry: ModelRegistry, folder: Path) -> tuple[str, Path | None]:
    """Version and folder of the model with alias ``production``; ('', None) when there is none yet."""
    champion = registry.find(PRODUCTION)
    if champion is None:
        return "", None
    return champion.version, registry.fetch(champion, folder)
