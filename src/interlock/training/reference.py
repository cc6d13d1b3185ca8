"""The counts a version's monitoring compares live traffic with: written beside the model, so they go where it goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from interlock.config import Config
from interlock.contracts import MonitoringReference
from interlock.features.query import TIME
from interlock.training.columns import Columns, columns_of
from interlock.validation.profile import SCORE_BINS, Pieces, bin_columns, bin_number

FILE = "monitoring_reference.json"
SCORE_FIELDS = {"binary": "probability", "regression": "value", "multiclass": ""}


def write_reference(config: Config, source: Path, path: Path, score: Callable[[Columns], NDArray[Any]]) -> None:
    """Counts of the rows in ``source``; ``score`` is the model's answer, asked for the rows it was not fitted to."""
    features = config.features
    names = [*features.numbers, *features.categories, TIME]
    parts = [pq.read_table(source / f"{part}.parquet", columns=names) for part in ("train", "validation", "test")]
    rows, unseen = pa.concat_tables(parts), pa.concat_tables(parts[1:])
    kinds = dict.fromkeys(features.numbers, "number") | dict.fromkeys(features.categories, "category")
    pieces, field = Pieces(rows.column(TIME)), SCORE_FIELDS[config.task]
    binned = None
    if field:
        scores = score(columns_of(unseen, numbers=features.numbers, categories=features.categories))
        binned = bin_number(field, np.asarray(scores, np.float64), Pieces(unseen.column(TIME)), SCORE_BINS)
    reference = MonitoringReference(
        rows=rows.num_rows,
        piece_hours=pieces.hours,
        features=bin_columns(rows, kinds, pieces),
        score_field=field,
        score=binned,
    )
    path.write_bytes(msgspec.json.encode(reference))  # not indented: it holds tens of thousands of numbers
