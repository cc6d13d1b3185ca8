"""A tree ensemble evaluated for many rows at once, without a branch.

A tree of at most 64 leaves, numbered from the left, is a word of as many bits. A row begins with all leaves alive; a
branch it says no to takes away the leaves on the yes side; the lowest bit that is left is its leaf. Which bits the
branches on one feature leave depends on nothing but which of their thresholds the value lies between::

    features (n, k) ──searchsorted──> intervals ──table──> words (n, trees) ─┐
    …of each feature…                                                       and──> lowest bit ──> weight ──> sum

so a feature costs one look-up in a table of (intervals, trees), and nothing depends on a branch that the processor
could not foresee, which is what ONNX Runtime waits for while it walks from node to node. The method is QuickScorer's:
Lucchese et al., "QuickScorer: a fast algorithm to rank documents with additive ensembles of regression trees", 2015.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from interlock.serving.ensemble import Ensemble

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[Any]  # uint32 or uint64

# To look up a feature takes as long as so many walks through a tree.
_WALKS: Final = 100
# Rows whose words stay in the processor's cache.
_CHUNK: Final = 256
_LARGEST_TABLES: Final = 32_000_000


class BitVectors:
    """The ensemble as a function of features. Made by :func:`bit_vectors`.

    ``fewest_rows``: fewer are answered sooner by walking the trees.
    """

    def __init__(self, ensemble: Ensemble, tables: list[tuple[int, Floats, Words]], weights: Floats) -> None:
        self.fewest_rows = fewest_rows(len(tables), len(weights))
        self._tables = tables
        self._weights = weights.ravel()
        self._first = np.arange(len(weights), dtype=np.intp) * weights.shape[1]
        self._one = tables[0][2].dtype.type(1)
        self._base = ensemble.base
        self._logistic = ensemble.logistic

    def score(self, features: Floats) -> Floats:
        """What ONNX Runtime gives for ``features`` (n, k), n >= 2: (n, 2), or (n, 1) without logistic."""
        n = len(features)
        size = -(-n // -(-n // _CHUNK))  # of equal parts
        sums = np.concatenate([self._sum(features[start : start + size]) for start in range(0, n, size)])
        if not self._logistic:
            return sums.reshape(-1, 1)
        likely = _logistic(sums)
        return np.stack((1 - likely, likely), axis=1)

    def _sum(self, features: Floats) -> Floats:
        words: Words | None = None
        for feature, bounds, table in self._tables:
            left = table.take(bounds.searchsorted(features[:, feature]), axis=0)
            words = left if words is None else np.bitwise_and(words, left, out=words)
        assert words is not None
        leaf = np.bitwise_count((words - self._one) & ~words)  # zeros below the lowest bit
        weights = self._weights.take((leaf + self._first).T)
        # Trees are rows now: numpy adds them one after the other, as ONNX Runtime does.
        total: Floats = np.add.reduce(weights, axis=0)
        return total + self._base


def bit_vectors(ensemble: Ensemble) -> BitVectors | None:
    """The same ensemble, or None if it has a tree of more than 64 leaves, too few trees or too large tables."""
    leaves = _leaves_below(ensemble)
    widest = max(leaves[root] for root in ensemble.roots)
    width = 32 if widest <= 32 else 64
    word: Any = np.uint32 if width == 32 else np.uint64
    bounds = _bounds(ensemble)
    trees = len(ensemble.roots)
    size = sum(map(len, bounds.values())) * trees * width // 8
    if widest > width or not bounds or size > _LARGEST_TABLES or fewest_rows(len(bounds), trees) > _CHUNK:
        return None
    alive = (1 << width) - 1
    tables = {feature: np.full((len(known) + 1, trees), alive, dtype=word) for feature, known in bounds.items()}
    weights = np.zeros((trees, width), dtype=np.float32)
    for tree, root in enumerate(ensemble.roots):
        todo = [(root, 0)]
        while todo:
            i, first = todo.pop()
            if ensemble.leaf[i]:
                weights[tree, first] = ensemble.weight[i]
                continue
            middle = first + leaves[ensemble.yes[i]]
            stay = word(alive ^ ((1 << middle) - (1 << first)))
            known, table = bounds[ensemble.feature[i]], tables[ensemble.feature[i]]
            table[known.searchsorted(ensemble.threshold[i]) + 1 : -1, tree] &= stay
            if not ensemble.missing_yes[i]:
                table[-1, tree] &= stay
            todo += [(ensemble.yes[i], first), (ensemble.no[i], middle)]
    return BitVectors(ensemble, [(feature, bounds[feature], table) for feature, table in tables.items()], weights)


def fewest_rows(features: int, trees: int) -> int:
    """From how many rows on look-ups are worth it; one row alone would be added up in another order."""
    return max(2, -(-_WALKS * features // trees))


def _leaves_below(ensemble: Ensemble) -> list[int]:
    """How many leaves there are below each node; a leaf has itself."""
    order = list(ensemble.roots)
    for i in order:  # grows: parents before children
        if not ensemble.leaf[i]:
            order += (ensemble.yes[i], ensemble.no[i])
    below = [1] * len(ensemble.leaf)
    for i in reversed(order):
        if not ensemble.leaf[i]:
            below[i] = below[ensemble.yes[i]] + below[ensemble.no[i]]
    return below


def _bounds(ensemble: Ensemble) -> dict[int, Floats]:
    """The thresholds of each feature, ascending, and infinity: searchsorted puts a missing value behind that."""
    found: dict[int, set[float]] = {}
    for leaf, feature, threshold in zip(ensemble.leaf, ensemble.feature, ensemble.threshold.tolist(), strict=True):
        if not leaf:
            found.setdefault(feature, set()).add(threshold)
    return {feature: np.array([*sorted(found[feature]), np.inf], dtype=np.float32) for feature in sorted(found)}


def _logistic(scores: Floats) -> Floats:
    """The logistic function as ONNX Runtime computes it, to the bit.

    That calls the C library's ``expf``. So does numpy for complex numbers; for real ones it has its own, which is
    another one in the last bit.
    """
    grown = np.exp((-np.abs(scores)).astype(np.complex64)).real
    likely = 1 / (1 + grown)
    answer: Floats = np.where(scores < 0, 1 - likely, likely)
    return answer
