"""Exact most-frequent values and distinct counts of text features.

TFDV's streaming sketch is wrong where there are thousands of values; its exact version exists only as a Beam
transform. This one is a combiner with TFDV's own output step. Memory grows with the distinct values (that is what
exact costs), not with the rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

MOST_PENDING = 8_192  # counted values that wait to be added up

Counted = dict[str, list[pa.Table]]


class ExactTopValues:
    """A TFDV combiner stats generator, by its methods. The accumulator holds tables (value, count, weight)."""

    name = "ExactTopValues"

    def __init__(self, *, top: int = 20, ranks: int = 1000, weight: str = "") -> None:
        self._top, self._ranks, self._weight = top, ranks, weight

    def setup(self) -> None:
        """Nothing to prepare."""

    def create_accumulator(self) -> Counted:
        """No feature seen yet."""
        return {}

    def add_input(self, counted: Counted, batch: pa.RecordBatch) -> Counted:
        """Count the values of every text column of ``batch`` (lists of at most one value)."""
        weights = self._weights(batch)
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if pa.types.is_list(column.type) and _is_text(column.type.value_type):
                part = _count(column, weights)
                if part.num_rows:
                    counted.setdefault(name, []).append(part)
                    _squeeze(counted[name])
        return counted

    def merge_accumulators(self, accumulators: Iterable[Counted]) -> Counted:
        """All counts together."""
        merged: Counted = {}
        for counted in accumulators:
            for name, parts in counted.items():
                merged.setdefault(name, []).extend(parts)
        return self.compact(merged)

    def compact(self, counted: Counted) -> Counted:
        """One row per value."""
        return {name: [_add_up(parts)] for name, parts in counted.items()}

    def extract_output(self, counted: Counted) -> Any:
        """``DatasetFeatureStatistics`` with ``unique``, ``top_values`` and ``rank_histogram`` per text feature."""
        from tensorflow_data_validation.utils import top_k_uniques_stats_util as out
        from tensorflow_metadata.proto.v0 import statistics_pb2

        result = statistics_pb2.DatasetFeatureStatistics()
        for name, parts in counted.items():
            total = _add_up(parts)
            feature = result.features.add()
            for column, is_weighted in (("count", False), ("weight", True)):
                if is_weighted and not self._weight:
                    continue
                single = out.make_dataset_feature_stats_proto_topk_single(
                    feature_path_tuple=(name,),
                    value_count_list=[
                        out.FeatureValueCount(value, frequency)
                        for value, frequency in _most_frequent(total, column, max(self._top, self._ranks))
                    ],
                    is_weighted_stats=is_weighted,
                    num_top_values=self._top,
                    frequency_threshold=1,
                    num_rank_histogram_buckets=self._ranks,
                )
                feature.MergeFrom(single.features[0]) if is_weighted else feature.CopyFrom(single.features[0])
            del feature.path.step[1:]
            feature.string_stats.unique = total.num_rows
        return result

    def _weights(self, batch: pa.RecordBatch) -> pa.Array | None:
        if not self._weight:
            return None
        return batch.column(batch.schema.get_field_index(self._weight)).flatten().cast(pa.float64())


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )  # fmt: skip


def _count(column: pa.Array, weights: pa.Array | None) -> pa.Table:
    if weights is None:
        counts = column.flatten().value_counts()
        values, numbers = counts.field("values"), counts.field("counts")
        return pa.table({"value": values, "count": numbers, "weight": numbers.cast(pa.float64())})
    present = column.is_valid()
    values = column.flatten()
    ones = pa.array(np.ones(len(values), np.int64))
    return _add_up([pa.table({"value": values, "count": ones, "weight": weights.filter(present)})])


def _squeeze(parts: list[pa.Table]) -> None:
    if len(parts) > 1 and sum(part.num_rows for part in parts) > max(MOST_PENDING, 2 * parts[0].num_rows):
        parts[:] = [_add_up(parts)]


def _add_up(parts: list[pa.Table]) -> pa.Table:
    whole = pa.concat_tables(parts).combine_chunks()
    # Not group_by: it starts threads, each with tables of several megabytes.
    encoded = pa.concat_arrays(whole.column("value").chunks).dictionary_encode()
    codes, found = encoded.indices.to_numpy(zero_copy_only=False), len(encoded.dictionary)
    counts, weights = (np.bincount(codes, whole.column(name).to_numpy(), found) for name in ("count", "weight"))
    return pa.table({"value": encoded.dictionary, "count": counts.astype(np.int64), "weight": weights})


def _most_frequent(total: pa.Table, by: str, n: int) -> list[tuple[Any, Any]]:
    frequencies = total.column(by).to_numpy()
    if len(frequencies) > n:
        # Everything as frequent as the n-th: ties are broken by value, afterwards.
        limit = np.partition(frequencies, len(frequencies) - n)[len(frequencies) - n]
        total = total.filter(pa.array(frequencies >= limit))
    pairs = zip(total.column("value").to_pylist(), total.column(by).to_pylist(), strict=True)
    return sorted(pairs, key=lambda pair: (pair[1], pair[0]), reverse=True)[:n]
