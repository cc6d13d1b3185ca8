"""What the core needs of a model registry. ``interlock.vertex.registry`` is the real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from interlock.contracts import ModelVersion


class ModelRegistry(Protocol):
    """One model's versions. Aliases move: giving one to a version takes it from the other."""

    def upload(
        self, folder: Path, *, image: str, digest: str, description: str, labels: dict[str, str]
    ) -> ModelVersion:
        """Store the folder and make a new version of it, with no alias."""

    def attach_evaluation(
        self, version: ModelVersion, evaluation: dict[str, Any], slices: list[dict[str, Any]]
    ) -> None:
        """Attach an evaluation and its slices, as :mod:`interlock.registry.evaluation` shapes them."""

    def find(self, alias_or_version: str) -> ModelVersion | None:
        """The version with this alias or number, None if there is none."""

    def versions(self) -> list[ModelVersion]:
        """All versions, oldest first; empty when the model does not exist."""

    def set_alias(self, version: str, alias: str) -> None:
        """Give ``alias`` to ``version``."""

    def remove_alias(self, version: str, alias: str) -> None:
        """Take ``alias`` from ``version``; nothing happens if it has it not."""

    def fetch(self, version: ModelVersion, folder: Path) -> Path:
        """Copy the version's files into ``folder``."""
