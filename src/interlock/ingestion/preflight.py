"""Whether the columns a config names exist, asked of the first rows of each source before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from interlock.config import Config
from interlock.errors import ConfigError
from interlock.ingestion.main_table import open_main
from interlock.ingestion.sources import open_source
from interlock.ingestion.streams import Numbered


def require_columns(config: Config, *, base: Path, file: str) -> None:
    """:class:`ConfigError` names the key, the column, and the columns there are. ``file`` is only for the message."""
    source = _columns(open_main(config.source, base))
    known = set(source) | set(config.features.derived)
    for index, join in enumerate(config.source.join):
        joined = _columns(open_source(join.table, base))
        for key, names, there in (("by", join.by, source), ("by", join.by, joined), ("columns", join.columns, joined)):
            _require(file, f"source.join[{index}].{key}", names, there)
        known |= set(join.columns)
    for key, names in _named(config):
        allowed = source if key.startswith(("source.", "validation.")) else sorted(known)
        _require(file, key, names, allowed)


def _named(config: Config) -> Iterator[tuple[str, list[str]]]:
    yield "source.time", [config.source.time]
    yield "source.key", config.source.key
    yield "features.numbers", config.features.numbers
    yield "features.categories", config.features.categories
    yield "slices", config.slices
    validation = config.validation
    yield "validation.slices", validation.slices
    yield "validation.weight", [validation.weight] if validation.weight else []
    yield "validation.rules.null_share", [rule.column for rule in validation.rules.null_share]
    for key, wanted in (("drift", validation.drift), ("skew", validation.skew)):
        yield f"validation.{key}.features", wanted.features if wanted else []


def _columns(source: Iterator[tuple[str, Numbered]]) -> list[str]:
    for _, batches in source:
        first = next(batches, None)
        return list(first[1].schema.names) if first is not None else []
    return []


def _require(file: str, key: str, names: list[str], there: list[str]) -> None:
    for name in names:
        if there and name not in there:
            hint = "; set source.csv.delimiter" if len(there) == 1 else ""
            if key in ("source.time", "source.key"):
                hint += "; has the table neither time nor key, source.row makes a column that serves as both"
            raise ConfigError(f"{file}: {key}: {name!r} is not a column; there are {', '.join(there)[:400]}{hint}")
