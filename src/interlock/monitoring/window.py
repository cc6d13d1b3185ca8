"""What one version answered in a window of time, counted in the warehouse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import sqlalchemy as sa

from interlock.config import Config
from interlock.contracts import BinnedColumn, MonitoringReference
from interlock.monitoring.statements import (
    DISTINCT_KEYS,
    RANGE,
    SCORE,
    Rows,
    answers_statement,
    features_statement,
    newest_outcome_statement,
    traffic_statement,
)
from interlock.warehouse import rows_of


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Requests to one version. ``timed``: answered, with a latency in the log; ``slow``: of those."""

    requests: int = 0
    answered: int = 0
    failed: int = 0
    refused: int = 0
    timed: int = 0
    slow: int = 0


class ScoreBin(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one group and score bin. ``n`` all, ``known`` with an outcome; the rest is of those.

    ``scores``: sum of scores; ``squares`` and ``fourths``: sums of powers of score minus outcome.
    """

    bin: int
    n: int
    known: int
    positives: int
    tp: int
    fp: int
    fn: int
    scores: float
    squares: float
    fourths: float


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """One version between two moments (epoch seconds).

    ``features``: rows per bin, as the reference has them; the score is among them, as ``SCORE``. ``outside``:
    rows that break each range. ``answers``: score bins per group, ``''`` for all rows, else ``column=value``.
    ``split``: requests per version since the split was last set.
    """

    version: str
    since: float
    until: float
    traffic: dict[str, Traffic]
    features: dict[str, list[int]]
    distinct_keys: int
    outside: list[int]
    answers: dict[str, list[ScoreBin]]
    newest_outcome: float | None
    split: dict[str, int] = {}

    @property
    def own(self) -> Traffic:
        """Requests to the version itself."""
        return self.traffic.get(self.version, Traffic())

    @property
    def requests(self) -> int:
        """Requests to the endpoint, whatever the version."""
        return sum(each.requests for each in self.traffic.values())

    def total(self, field: str, group: str = "") -> int:
        """A count over all score bins of a group."""
        return sum(getattr(each, field) for each in self.answers.get(group, []))


def count_window(
    engine: sa.Engine,
    config: Config,
    reference: MonitoringReference,
    *,
    version: str,
    since: float,
    until: float,
    split_since: float = 0.0,
) -> Window:
    """Count the requests with ``since`` < time <= ``until``; :class:`EvidenceError` when the warehouse cannot answer.

    Outcomes are asked of requests that are ``strategy.attribution_seconds`` old. ``split_since``: when the traffic
    split was last set.
    """
    rows = Rows(config.name, version, since, until)
    monitoring = config.monitoring
    slow_ms = monitoring.slow_ms or 0.0  # where nobody asks, nobody looks
    traffic = _traffic(rows_of(engine, traffic_statement(rows, slow_ms)))
    features: dict[str, list[int]] = {}
    answers: dict[str, list[ScoreBin]] = {}
    keys, outside = 0, [0] * len(monitoring.ranges)
    if traffic.get(version, Traffic()).answered:
        found = rows_of(engine, features_statement(rows, reference, monitoring.ranges))
        features = _features(found, reference)
        counts = {row["name"]: int(row["n"]) for row in found}
        keys = counts.get(DISTINCT_KEYS, 0)
        outside = [counts.get(f"{RANGE}{i}", 0) for i in range(len(monitoring.ranges))]
        if config.task == "binary" and reference.score is not None:
            ripe = until - config.strategy.attribution_seconds
            statement = answers_statement(rows, reference.score.edges, config.slices, ripe)
            answers = _answers(rows_of(engine, statement))
    split = traffic
    if since < split_since < until:
        later = Rows(config.name, version, split_since, until)
        split = _traffic(rows_of(engine, traffic_statement(later, slow_ms)))
    return Window(
        version=version,
        since=since,
        until=until,
        traffic=traffic,
        features=features,
        distinct_keys=keys,
        outside=outside,
        answers=answers,
        newest_outcome=rows_of(engine, newest_outcome_statement())[0]["newest"],
        split={name: each.requests for name, each in split.items()},
    )


def binned(column: BinnedColumn, found: Sequence[Mapping[str, Any]]) -> list[int]:
    """Rows per bin of ``column``, from the rows of the statement that are about it."""
    if not column.values:
        (row,) = found
        present = int(row["n"]) - int(row["nulls"])
        below = [0, *(int(row[f"below_{i}"]) for i in range(len(column.edges))), present]
        return [*(after - before for before, after in pairwise(below)), int(row["nulls"])]
    places = {value: i for i, value in enumerate(column.values)}
    counts = [0] * (len(places) + 2)
    for row in found:
        value = row["value"]
        counts[-1 if value is None else places.get(str(value), len(places))] += int(row["n"])
    return counts


def _features(found: Sequence[Mapping[str, Any]], reference: MonitoringReference) -> dict[str, list[int]]:
    columns = {each.name: each for each in reference.features}
    if reference.score is not None:
        columns[SCORE] = reference.score
    return {name: binned(each, [row for row in found if row["name"] == name]) for name, each in columns.items()}


def _traffic(found: Sequence[Mapping[str, Any]]) -> dict[str, Traffic]:
    fields = Traffic.__struct_fields__
    return {row["version"]: Traffic(**{name: int(row[name]) for name in fields}) for row in found}


def _answers(found: Sequence[Mapping[str, Any]]) -> dict[str, list[ScoreBin]]:
    groups: dict[str, list[ScoreBin]] = {}
    for row in found:
        group = f"{row['name']}={row['value'] or ''}" if row["name"] else ""
        groups.setdefault(group, []).append(msgspec.convert(dict(row), ScoreBin, strict=False))
    return {group: sorted(bins, key=lambda each: each.bin) for group, bins in groups.items()}
