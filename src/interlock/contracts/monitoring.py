"""What monitoring compares with and what it says."""

from __future__ import annotations

from typing import Literal

import msgspec

from interlock.contracts.file import Contract


class BinnedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """Rows per piece of time and bin: ``pieces`` (pieces, bins).

    Of numbers: ``edges`` ascending, a value belongs to the first edge it does not exceed, then one bin for larger
    ones. Of categories: one bin per text of ``values``, then one for all others. The last bin is of nulls.
    """

    name: str
    edges: list[float] = []
    values: list[str] = []
    pieces: list[list[int]]


class MonitoringCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One check: ``status`` is ``ok``, ``alarm`` or ``missing`` (no data: never good news); ``reason`` the inequality.

    ``about``: feature, slice or version; '' is all of them. ``low`` and ``high`` bound the value where it has an
    interval.
    """

    check: str
    about: str = ""
    status: Literal["ok", "alarm", "missing"]
    value: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    reason: str


class MonitoringAction(msgspec.Struct, frozen=True, kw_only=True):
    """What a verdict led to. ``outcome``: ``done``, ``held`` (and why) or ``failed`` (and why)."""

    action: Literal["alert", "roll back", "train", "metric", "vertex monitor"]
    because: list[str]
    outcome: Literal["done", "held", "failed"]
    detail: str = ""


class MonitoringReference(Contract, frozen=True, kw_only=True, tag="monitoring-reference/v1"):
    """What a version was trained on, as counts: ``features`` over all rows, ``score`` over rows it was not fitted to.

    ``piece_hours``: length of a piece, 0 where rows have no time. ``score_field`` of a prediction; '' for no score.
    """

    rows: int
    piece_hours: float
    features: list[BinnedColumn]
    score_field: str = ""
    score: BinnedColumn | None = None


class MonitoringReport(Contract, frozen=True, kw_only=True, tag="monitoring-report/v1"):
    """One look at live traffic of the production version.

    ``verdict``: ``alert`` when a check alarms, else ``error`` when one has no data, else ``ok``. ``versions``: requests
    by version. ``score_divergence``: Jensen-Shannon (bits), against scores of rows the model was not fitted to.
    """

    endpoint: str
    version: str
    since: float
    until: float
    requests: int
    failed: int
    with_outcome: int
    cost: float | None
    expected_cost: float | None
    score_divergence: float | None
    verdict: Literal["ok", "alert", "error"]
    reasons: list[str]
    checks: list[MonitoringCheck] = []
    versions: dict[str, int] = {}
    actions: list[MonitoringAction] = []
