"""What every task's answers on labelled rows can be asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from interlock.evaluation.intervals import Interval


class Answers(Protocol):
    """A model's answers on rows whose truth is known: of :mod:`binary`, :mod:`multiclass` or :mod:`regression`."""

    @property
    def labels(self) -> NDArray[Any]:
        """The truth, (n,)."""

    def subset(self, mask: NDArray[np.bool_]) -> Self:
        """The rows where ``mask`` is true."""

    def measure(self, metrics: Sequence[str]) -> dict[str, Interval]:
        """Each metric on these rows."""

    def difference(self, metric: str, champion: Any) -> Interval:
        """Candidate (self) minus champion on the same rows in the same order."""

    def confusion(self) -> list[list[int]]:
        """A row per true label, a column per predicted one; [] where there is none."""

    def roc(self) -> list[list[float]]:
        """``[threshold, false positive rate, true positive rate]``; [] where there is no one curve."""

    def told(self) -> NDArray[np.float64]:
        """One number per row, as the server counts it, (n,)."""

    def calibration(self) -> list[list[float]]:
        """``[mean answer, mean truth, rows]`` per tenth of the rows."""
