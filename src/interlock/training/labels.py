"""Labels as estimators take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from interlock.config import Config
from interlock.errors import InputError

Labels = NDArray[Any]


def read_labels(rows: pa.Table, config: Config) -> Labels:
    """Labels of the rows, (n,): int8 in {0, 1}; int64, the place in ``label.classes``; or float64."""
    column = rows.column(config.label.name)
    if config.task == "regression":
        return np.asarray(column.to_numpy(), np.float64)
    if config.task == "multiclass":
        return class_codes(column, config.label.classes)
    return np.asarray(column.to_numpy().astype(np.int8))


def class_codes(column: pa.ChunkedArray, classes: Sequence[str]) -> NDArray[np.int64]:
    """The place of each text in ``classes``, (n,); :class:`InputError` for a text that is none of them."""
    places = pc.index_in(column, value_set=pa.array(classes, pa.string()))
    if places.null_count:
        raise InputError(f"{places.null_count} labels are not in {', '.join(classes)}: build features again")
    return np.asarray(places.to_numpy(), np.int64)
