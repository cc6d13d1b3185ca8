"""The fast path: categories looked up in Python, ONNX Runtime for the trees only.

::

    model.onnx ──cut──> encoder graph ──asked once for every category──> tables ──proof──> TreesOnly
          │                                                                        │
          └── not one tree ensemble, a number is not passed through, or one bit differs ──> None: whole graph

The tables are not read from the file but measured: the encoder graph is asked. The proof compares both ways bit
by bit on real and damaged rows when the model is loaded; a model that is not proved equal is served whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan
from operator import itemgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from interlock.contracts import InputField
from interlock.serving.bitvectors import BitVectors, bit_vectors
from interlock.serving.ensemble import read_ensemble
from interlock.serving.graph import Cut, cut_at_trees
from interlock.serving.rows import Columns, Row, columns_of

Floats = npt.NDArray[np.float32]
OpenSession = Callable[[bytes], Any]

# Text no training table holds.
UNKNOWN: Final = "\u2205 never seen"
# Tables are measured in one run per category; more texts than this are not a table any more.
_LARGEST_TABLE: Final = 100_000
_PROBES: Final = (0.0, -0.0, 1.0, -1.5, 3.0e38, -3.0e38, 1e-40, 0.1, 16777217.0)


class TreesOnly:
    """Rows to probabilities without the encoder graph. Made by :func:`trees_only`, which proves it equal.

    ``vectors``: the trees for many rows at once, where they can be had.
    """

    def __init__(
        self,
        *,
        session: Any,
        feature: str,
        output: str,
        order: list[int],
        tables: list[Any],
        vectors: BitVectors | None,
    ) -> None:
        self._run = session.run
        self.vectors = vectors
        self._feature = feature
        self._outputs = [output]
        self._reorder = None if order == sorted(order) else itemgetter(*order)
        self._tables = tables
        # (column, table, code of anything else) of the features that are categories.
        self._coded = [(i, table.get, table[UNKNOWN]) for i, table in enumerate(tables) if isinstance(table, dict)]
        # (column, value) of the numbers whose missing values the model replaces.
        self._filled = [(i, value) for i, value in enumerate(tables) if isinstance(value, float) and not isnan(value)]

    def score(self, rows: Sequence[Row]) -> Floats:
        """What the whole graph gives: (n, classes) or (n, 1)."""
        features = self.encode(rows)
        if self.vectors is not None and len(rows) >= self.vectors.fewest_rows:
            return self.vectors.score(features)
        found: Floats = self._run(self._outputs, {self._feature: features})[0]
        return found

    def encode(self, rows: Sequence[Row]) -> Floats:
        """The features of the trees, shape (n, k), float32."""
        if len(rows) == 1:
            return self._encode_one(rows[0])
        features = np.empty((len(rows), len(self._tables)), dtype=np.float32)
        columns: list[Any] = list(zip(*rows, strict=True))
        if self._reorder is not None:
            columns = list(self._reorder(columns))
        for i, code, other in self._coded:
            columns[i] = [code(value, other) for value in columns[i]]
        for i, column in enumerate(columns):
            features[:, i] = column  # None becomes NaN
        for i, value in self._filled:
            column = features[:, i]
            column[np.isnan(column)] = value
        return features

    def _encode_one(self, row: Row) -> Floats:
        values = list(row) if self._reorder is None else list(self._reorder(row))
        for i, code, other in self._coded:
            values[i] = code(values[i], other)
        for i, filled in self._filled:
            if values[i] is None:
                values[i] = filled
        return np.array([values], dtype=np.float32)


def trees_only(
    model: bytes, *, inputs: Sequence[InputField], output: str, session: Any, open_session: OpenSession, rows: list[Row]
) -> TreesOnly | None:
    """The fast path of ``model``, if there is one that gives the same bits on ``rows`` and damaged ones.

    ``session`` runs the whole graph. ``rows`` may be empty: made-up rows are compared in any case.
    """
    cut = cut_at_trees(model)
    if cut is None or len(cut.texts) > _LARGEST_TABLE:
        return None
    encode = _Encoder(open_session(cut.encoder), cut, inputs)
    layout = _measure(encode, inputs, cut.texts)
    if layout is None:
        return None
    order, tables = layout
    trees = open_session(cut.trees)
    ensemble = read_ensemble(cut.ensemble)
    for vectors in (bit_vectors(ensemble) if ensemble else None, None):
        fast = TreesOnly(
            session=trees, feature=cut.features, output=output, order=order, tables=tables, vectors=vectors
        )
        if _equal(fast, encode, session, output, [*rows, *_made_up(inputs, cut.texts)]):
            return fast
    return None


class _Encoder:
    """The encoder graph as a function of columns."""

    def __init__(self, session: Any, cut: Cut, inputs: Sequence[InputField]) -> None:
        self._session = session
        self._features = cut.features
        self.inputs = inputs

    def __call__(self, columns: Columns) -> Floats:
        feeds = {name: column.reshape(-1, 1) for name, column in columns.items()}
        features: Floats = self._session.run([self._features], feeds)[0]
        return features


def _measure(
    encode: _Encoder, inputs: Sequence[InputField], texts: list[str]
) -> tuple[list[int], list[dict[str | None, float] | float]] | None:
    """Which input each feature comes from, and its table (category) or its value for missing (number).

    None unless every input becomes exactly one feature, and numbers are passed through.
    """
    width = len(inputs)
    order: list[int] = [-1] * width
    tables: list[dict[str | None, float] | float] = [0.0] * width
    for i, field in enumerate(inputs):
        values: list[Any] = [None, *_PROBES] if field.kind == "number" else [None, "", UNKNOWN, *texts]
        features = encode(_varied(inputs, i, values))
        changed = np.flatnonzero(np.any(_bits(features) != _bits(features[-1:]), axis=0))
        if features.shape[1] != width or changed.size != 1 or order[changed[0]] != -1:
            return None
        place = int(changed[0])
        column = features[:, place]
        order[place] = i
        if field.kind == "category":
            other = float(column[2])
            codes = dict(zip(values, column.tolist(), strict=True))
            tables[place] = {text: code for text, code in codes.items() if code != other or text == UNKNOWN}
        else:
            if not np.array_equal(_bits(column[1:]), _bits(np.array(_PROBES, dtype=np.float32))):
                return None
            tables[place] = float(column[0])
    return order, tables


def _varied(inputs: Sequence[InputField], varied: int, values: Sequence[Any]) -> Columns:
    """Columns that hold ``values`` in one input and are missing everywhere else."""
    rows = [tuple(value if i == varied else None for i in range(len(inputs))) for value in values]
    return columns_of(inputs, rows)


def _made_up(inputs: Sequence[InputField], texts: list[str]) -> list[Row]:
    rng = np.random.default_rng(0)
    choices = [None, "", UNKNOWN, *texts]

    def value(field: InputField) -> Any:
        if field.kind == "category":
            return choices[rng.integers(len(choices))]
        return None if rng.random() < 0.2 else float(np.float32(rng.normal() * 10.0 ** rng.integers(-3, 5)))

    return [tuple(value(field) for field in inputs) for _ in range(256)]


def _damaged(inputs: Sequence[InputField], rows: list[Row]) -> list[Row]:
    """The rows again with all numbers missing, all categories missing, all categories unknown."""
    kinds = [field.kind for field in inputs]
    damage = [("number", None), ("category", None), ("category", UNKNOWN)]
    return [
        tuple(value if k == kind else old for k, old in zip(kinds, row, strict=True))
        for kind, value in damage
        for row in rows
    ]


def _equal(fast: TreesOnly, encode: _Encoder, session: Any, output: str, rows: list[Row]) -> bool:
    rows = [*rows, *_damaged(encode.inputs, rows)]
    columns = columns_of(encode.inputs, rows)
    features = encode(columns)
    single = np.concatenate([fast.encode([row]) for row in rows])
    if not (_same(features, fast.encode(rows)) and _same(features, single)):
        return False
    feeds = {name: column.reshape(-1, 1) for name, column in columns.items()}
    whole: Floats = session.run([output], feeds)[0]
    few = fast.vectors.fewest_rows - 1 if fast.vectors is not None else 1
    apart = np.concatenate([fast.score(rows[i : i + few]) for i in range(0, len(rows), few)])
    return _same(whole, fast.score(rows)) and _same(whole, apart)


def _same(first: Floats, second: Floats) -> bool:
    """Bit for bit, any NaN like any other."""
    return first.shape == second.shape and np.array_equal(first, second, equal_nan=True)


def _bits(values: Floats) -> npt.NDArray[np.uint32]:
    return np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
