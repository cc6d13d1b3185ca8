"""A scenario: which versions to train, what live traffic to replay, and how each version is expected to end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml
from msgspec import Meta

from interlock.errors import ConfigError


class Live(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rows of the source replayed as requests, one row per request, again from the start when used up.

    ``order``: ``time``, oldest first, or ``shuffled`` (always the same way). Months replayed in a minute would show
    each rollout another season; shuffled, every minute is a fair sample of them all.
    """

    start: str
    end: str
    order: Literal["time", "shuffled"] = "time"
    requests_per_second: Annotated[int, Meta(ge=1, le=20_000)] = 1500
    connections: Annotated[int, Meta(ge=1, le=64)] = 8


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One candidate: its training window, columns it sees beyond the config's, and how it must end."""

    title: str
    start: str
    end: str
    extra_numbers: list[str] = []
    expect: Literal["promoted", "rolled back"]


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file. ``config`` is relative to it."""

    config: str
    live: Live
    versions: Annotated[list[Version], Meta(min_length=1)]


def load_scenario(path: Path) -> Scenario:
    """Read and check; :class:`ConfigError` names the key."""
    try:
        return msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), type=Scenario)
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; give a scenario, for instance examples/flights/run.yaml"
        ) from error
    except (msgspec.ValidationError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
