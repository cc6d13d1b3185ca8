"""Whether the columns a config names exist, asked of the first rows of each source before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from interlock.config import Config
from interlock.errors import ConfigError
from interlock.ingestion.sources import open_source


def require_columns(config: Config, *, base: Path, file: str) -> None:
    """:class:`ConfigError` names the key, the column, and the columns there are. ``file`` is only for the message."""
    source = _columns(config.source.table, base)
    known = set(source) | set(config.features.derived)
    for index, join in enumerate(config.source.join):
        joined = _columns(join.table, base)
        for key, names, there in (("by", join.by, source), ("by", join.by, joined), ("columns", join.columns, joined)):
            _require(file, f"source.join[{index}].{key}", names, there)
        known |= set(join.columns)
    for key, names in _named(config):
        allowed = source if key.startswith("source.") else sorted(known)
        _require(file, key, names, allowed)


def _named(config: Config) -> Iterator[tuple[str, list[str]]]:
    yield "source.time", [config.source.time]
    yield "source.key", config.source.key
    yield "features.numbers", config.features.numbers
    yield "features.categories", config.features.categories
    yield "slices", config.slices


def _columns(uri: str, base: Path) -> list[str]:
    for _, batches in open_source(uri, base):
        first = next(batches, None)
        return list(first.schema.names) if first is not None else []
    return []


def _require(file: str, key: str, names: list[str], there: list[str]) -> None:
    for name in names:
        if there and name not in there:
            hint = "; is the delimiter a comma?" if len(there) == 1 else ""
            raise ConfigError(f"{file}: {key}: {name!r} is not a column; there are {', '.join(there)[:400]}{hint}")
