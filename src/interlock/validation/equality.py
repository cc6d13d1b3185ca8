"""Are two statistics the same, field by field? What the tests and the benchmark hold against vanilla TFDV."""

from __future__ import annotations

import math
from typing import Any

ROUNDED = ("mean", "std_dev", "avg_length", "sum")  # sums of floats depend on the order of the rows


def differences(left: Any, right: Any, *, tolerance: float = 1e-12) -> list[str]:
    """Where two ``DatasetFeatureStatisticsList`` differ, as ``dataset/feature/field: left != right``.

    Datasets and features may come in any order. ``tolerance`` (relative) is for means and deviations; every other
    field must be equal.
    """
    ours, theirs = ({each.name: each for each in side.datasets} for side in (left, right))
    found = [f"{name}: only on one side" for name in sorted(ours.keys() ^ theirs.keys())]
    for name in sorted(ours.keys() & theirs.keys()):
        found += _dataset(name, ours[name], theirs[name], tolerance)
    return found


def _dataset(name: str, left: Any, right: Any, tolerance: float) -> list[str]:
    found = []
    for field in ("num_examples", "weighted_num_examples"):
        if getattr(left, field) != getattr(right, field):
            found.append(f"{name}/{field}: {getattr(left, field)} != {getattr(right, field)}")
    ours, theirs = ({"/".join(each.path.step): each for each in side.features} for side in (left, right))
    found += [f"{name}/{path}: only on one side" for path in sorted(ours.keys() ^ theirs.keys())]
    for path in sorted(ours.keys() & theirs.keys()):
        found += _message(f"{name}/{path}", ours[path], theirs[path], tolerance)
    return found


def _message(where: str, left: Any, right: Any, tolerance: float) -> list[str]:
    ours, theirs = ({field.name: (field, value) for field, value in side.ListFields()} for side in (left, right))
    found = []
    for name in sorted(ours.keys() | theirs.keys()):
        field = (ours.get(name) or theirs[name])[0]
        values = [getattr(side, name) for side in (left, right)]
        found += _values(f"{where}/{name}", field, values[0], values[1], tolerance)
    return found


def _values(where: str, field: Any, left: Any, right: Any, tolerance: float) -> list[str]:
    if field.label == field.LABEL_REPEATED:
        if len(left) != len(right):
            return [f"{where}: {len(left)} entries != {len(right)}"]
        pairs = [(f"{where}[{i}]", *pair) for i, pair in enumerate(zip(left, right, strict=True))]
    else:
        pairs = [(where, left, right)]
    found = []
    for place, one, other in pairs:
        if field.message_type is not None:
            found += _message(place, one, other, tolerance)
        elif not _same(field.name, one, other, tolerance):
            found.append(f"{place}: {one!r} != {other!r}")
    return found


def _same(name: str, left: Any, right: Any, tolerance: float) -> bool:
    if isinstance(left, float) and math.isnan(left) and math.isnan(right):
        return True
    if name in ROUNDED:
        return math.isclose(left, right, rel_tol=tolerance, abs_tol=tolerance)
    return bool(left == right)
