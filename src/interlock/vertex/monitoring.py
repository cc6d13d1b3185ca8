"""Monitoring of the version in production: registry, warehouse and clock put together."""

from __future__ import annotations

import time
from pathlib import Path

from interlock.config import Config
from interlock.contracts import Evaluation, MonitoringReport, Place, read_contract
from interlock.errors import RegistryError
from interlock.monitoring.judge import judge_window
from interlock.monitoring.window import count_window
from interlock.registry.aliases import PRODUCTION
from interlock.vertex.registry import VertexModelRegistry
from interlock.warehouse import open_warehouse


def monitor(place: Place, config: Config, *, hours: float, folder: Path) -> MonitoringReport:
    """Judge the last ``hours``; :class:`RegistryError` when nothing is in production."""
    registry = VertexModelRegistry(place, config.name)
    version = registry.find(PRODUCTION)
    if version is None:
        raise RegistryError(f"{config.name}: no version has alias {PRODUCTION}; deploy one first")
    evaluation = read_contract(registry.fetch(version, folder) / "evaluation.json", Evaluation)
    until = time.time()
    window = count_window(
        open_warehouse(place.warehouse),
        endpoint=config.name,
        version=version.version,
        since=until - hours * 3600,
        until=until,
        deciles=evaluation.score_deciles,
        cost=config.cost,
    )
    return judge_window(config, version=version.version, evaluation=evaluation, window=window)
