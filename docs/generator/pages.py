"""Which pages there are."""

from __future__ import annotations

from collections.abc import Callable

from generator import commands, components, config, contracts, environment, errors, metrics, warehouse

PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands.page,
    "components.md": components.page,
    "config.md": config.page,
    "contracts.md": contracts.page,
    "environment.md": environment.page,
    "errors.md": errors.page,
    "metrics.md": metrics.page,
    "warehouse.md": warehouse.page,
}
