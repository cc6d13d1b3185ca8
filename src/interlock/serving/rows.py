"""Decoded instances, row-wise and column-wise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from interlock.contracts import InputField

Columns = dict[str, npt.NDArray[Any]]
# One value per input in signature order: float or None for a number, text or None for a category.
Row = tuple[Any, ...]


def columns_of(inputs: Sequence[InputField], rows: Sequence[Row]) -> Columns:
    """One array of shape (n,) per input: float32 with missing = NaN, text with missing = ''."""
    return {field.name: column_of(field, values) for field, values in zip(inputs, zip(*rows, strict=True), strict=True)}


def column_of(field: InputField, values: Sequence[Any]) -> npt.NDArray[Any]:
    """The values of one input as the whole graph takes them."""
    if field.kind == "number":
        return np.array(values, dtype=np.float32)  # None becomes NaN
    return np.array([value or "" for value in values], dtype=object)


def frame_of(columns: Columns) -> Any:
    """A pandas frame, as scikit-learn's column transformer wants it."""
    import pandas as pd

    return pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in columns.items()})
