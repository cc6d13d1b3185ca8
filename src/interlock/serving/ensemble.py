"""The tree ensemble of an ONNX file as arrays, without the onnx package.

Only what :mod:`interlock.serving.bitvectors` can evaluate is read: one score a row, every branch a ``<=``. Attributes:
https://github.com/onnx/onnx/blob/main/docs/Operators-ml.md#aionnxmltreeensembleclassifier
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from interlock.serving.graph import Node, fields

# AttributeProto: its name is the first field, the kind of its values (with two bytes of tag) the last.
_NAME, _STRING = 1, 4
_KIND_BYTES: Final = 3
_FLOAT_TAG: Final = 0x3D
_INT: Final = re.compile(rb"\x40([\x80-\xff]*[\x00-\x7f])")
_MODE: Final = re.compile(rb"J(\x04LEAF|\x0aBRANCH_LEQ)")


class Ensemble(NamedTuple):
    """One entry per node, trees in the order they are added up; the score of a row is ``base`` and a leaf of each.

    ``yes`` and ``no`` are entries of the children: ``value <= threshold`` goes to ``yes``, a missing value where
    ``missing_yes`` says. ``weight`` is what a leaf adds. ``logistic``: the score becomes a probability.
    """

    roots: list[int]
    leaf: list[bool]
    feature: list[int]
    threshold: npt.NDArray[np.float32]
    yes: list[int]
    no: list[int]
    missing_yes: list[bool]
    weight: npt.NDArray[np.float32]
    base: np.float32
    logistic: bool


def read_ensemble(node: Node) -> Ensemble | None:
    """The ensemble of a tree node, or None if it is of another kind."""
    try:
        return _read(dict(map(_named, node.attributes)))
    except (KeyError, IndexError, ValueError):  # an attribute is not there, or not written as expected
        return None


def _read(given: dict[str, bytes]) -> Ensemble | None:
    logistic = "class_ids" in given
    kind = "class" if logistic else "target"
    if _text(given.get("post_transform", b"")) != ("LOGISTIC" if logistic else "NONE"):
        return None
    if _text(given.get("aggregate_function", b"")) not in ("", "SUM"):
        return None
    base = _floats(given.get("base_values", b""))
    leaves = list(zip(*(_ints(given[f"{kind}_{part}"]) for part in ("ids", "treeids", "nodeids")), strict=True))
    of_tree = {(tree, node) for _, tree, node in leaves}
    if len(base) > 1 or len({output for output, _, _ in leaves}) != 1 or len(of_tree) != len(leaves):
        return None  # more than one output, or more than one weight in a leaf
    places = list(zip(_ints(given["nodes_treeids"]), _ints(given["nodes_nodeids"]), strict=True))
    at = {place: i for i, place in enumerate(places)}
    is_leaf = [mode == b"\x04LEAF" for mode in _all(_MODE, given["nodes_modes"])]
    weight = np.zeros(len(places), dtype=np.float32)
    weight[[at[tree, node] for _, tree, node in leaves]] = _floats(given[f"{kind}_weights"])
    children = [
        [
            0 if end else at[tree, child]
            for end, (tree, _), child in zip(is_leaf, places, _ints(given[name]), strict=True)
        ]
        for name in ("nodes_truenodeids", "nodes_falsenodeids")
    ]
    feature, threshold = _ints(given["nodes_featureids"]), _floats(given["nodes_values"])
    missing = given.get("nodes_missing_value_tracks_true")
    missing_yes = [bool(flag) for flag in _ints(missing)] if missing else [False] * len(places)
    if not len(feature) == len(threshold) == len(missing_yes) == len(places):
        return None
    return Ensemble(
        roots=[at[tree, 0] for tree in dict.fromkeys(tree for tree, _ in places)],
        leaf=is_leaf,
        feature=feature,
        threshold=threshold,
        yes=children[0],
        no=children[1],
        missing_yes=missing_yes,
        weight=weight,
        base=base[0] if len(base) else np.float32(0),
        logistic=logistic,
    )


def _named(attribute: bytes) -> tuple[str, bytes]:
    """Name and values of an AttributeProto."""
    name = next(fields(attribute), None)
    if name is None or name.number != _NAME:
        raise ValueError("the name is not the first field")
    return name.content.decode(), attribute[len(name.whole) : -_KIND_BYTES]


def _text(values: bytes) -> str:
    return "".join(field.content.decode() for field in fields(values) if field.number == _STRING)


def _floats(values: bytes) -> npt.NDArray[np.float32]:
    entries = np.frombuffer(values, dtype=np.uint8).reshape(-1, 5)  # tag, four bytes
    if np.any(entries[:, 0] != _FLOAT_TAG):
        raise ValueError("not a list of float32")
    return np.ascontiguousarray(entries[:, 1:]).view("<f4").ravel()


def _ints(values: bytes) -> list[int]:
    return [entry[0] if len(entry) == 1 else _varint(entry) for entry in _all(_INT, values)]


def _varint(entry: bytes) -> int:
    return sum((byte & 0x7F) << 7 * i for i, byte in enumerate(entry))


def _all(pattern: re.Pattern[bytes], values: bytes) -> list[bytes]:
    """Entries without their tags; there must be nothing else."""
    found = pattern.findall(values)
    if len(values) != len(found) + sum(map(len, found)):
        raise ValueError("not a list of one kind")
    return found
