"""What monitoring is made of: parts of its reference and report in :mod:`interlock.contracts`, in no file alone."""

from __future__ import annotations

from typing import Literal

import msgspec


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
