"""TFDV statistics of a Parquet table, streamed. Runs in the ``data`` environment only.

TFDV's own generators see one record batch after the other, so memory does not grow with the rows. The result
equals ``GenerateStatistics`` on Beam field by field; means and deviations agree to rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from interlock.errors import ConfigError, InputError
from interlock.progress import Say, silent
from interlock.validation.batches import as_examples, one_value_per_slice, take
from interlock.validation.loading import statistics_module
from interlock.validation.memory import trim_heap
from interlock.validation.top_values import ExactTopValues

BATCH_ROWS = 16384  # peak memory follows it; larger batches are hardly faster
COMPACT_ROWS = 32 * BATCH_ROWS  # sketches grow by a level with every doubling of the rows, until compacted
SLICE_ROWS = 65536  # small parts of slices wait until there are as many, or 20 MB of them
WHOLE = "All Examples"  # TFDV's name of the slice that is everything
MOST_SLICES = 1000


def compute_statistics(table: Path, *, slices: Sequence[str] = (), weight: str = "", say: Say = silent) -> Any:
    """Statistics of every column as a ``DatasetFeatureStatisticsList``; the whole table is its first dataset.

    ``slices``: columns; every value gets a dataset named ``column_value``. ``weight``: a column without nulls.
    """
    with pq.ParquetFile(table) as file:
        require_table(file.schema_arrow.names, slices=slices, weight=weight)
        # Threads of the reader would keep heaps of their own, which grow with the rows.
        batches = _told(file.iter_batches(batch_size=BATCH_ROWS, use_threads=False), file.metadata.num_rows, say)
        return statistics_of(batches, slices=slices, weight=weight)


def _told(batches: Iterable[pa.RecordBatch], total: int, say: Say) -> Iterator[pa.RecordBatch]:
    done = 0
    for batch in batches:
        yield batch
        done += batch.num_rows
        say(f"statistics: {done:,} of {total:,} rows")


def require_table(names: Sequence[str], *, slices: Sequence[str], weight: str) -> None:
    """:class:`ConfigError` when a column that the config names is not among ``names``."""
    for kind, column in [*(("slices", name) for name in slices), *([("weight", weight)] if weight else [])]:
        if column not in names:
            raise ConfigError(f"validation.{kind}: no column {column}; the table has {', '.join(names)[:300]}")


def combiner(*, weight: str, rows: int) -> Any:
    """TFDV's combiner of all generators; they run when ``rows`` have come together, or 20 MB."""
    stats_impl = statistics_module()
    options = stats_impl.stats_options.StatsOptions(weight_feature=weight or None)
    generators = [
        generator
        for generator in stats_impl.get_generators(options, in_memory=True)
        if generator.name != "TopKUniquesSketchStatsGenerator"
    ]
    exact = ExactTopValues(top=options.num_top_values, ranks=options.num_rank_histogram_buckets, weight=weight)
    return stats_impl._CombinerStatsGeneratorsCombineFn([*generators, exact], rows)


def statistics_of(batches: Iterable[pa.RecordBatch], *, slices: Sequence[str] = (), weight: str = "") -> Any:
    """The same for batches in memory."""
    running = RunningStatistics(slices=slices, weight=weight)
    for batch in batches:
        running.add(batch)
    return running.extract()


class RunningStatistics:
    """Add batches, merge what others have added, extract once."""

    def __init__(self, *, slices: Sequence[str] = (), weight: str = "") -> None:
        self._whole, self._part = (combiner(weight=weight, rows=rows) for rows in (BATCH_ROWS, SLICE_ROWS))
        self._slices, self._weight = list(slices), weight
        self._uncompacted = 0
        self._parts: dict[str, Any] = {WHOLE: self._whole.create_accumulator()}

    def add(self, batch: pa.RecordBatch) -> None:
        """The next rows."""
        if self._weight and batch.column(batch.schema.get_field_index(self._weight)).null_count:
            raise InputError(f"validation.weight: {self._weight} has nulls; a weight is a number in every row")
        self._add(WHOLE, as_examples(batch))
        for column in self._slices:
            for name, rows in one_value_per_slice(batch, column):
                self._add(name, as_examples(take(batch, rows)))
        self._uncompacted += batch.num_rows
        if self._uncompacted >= COMPACT_ROWS:
            self._parts[WHOLE] = self._whole.compact(self._parts[WHOLE])
            self._uncompacted = 0
        trim_heap()

    def merge(self, other: RunningStatistics) -> None:
        """What ``other`` has seen counts as seen here; ``other`` is used up."""
        for name, theirs in other._parts.items():
            mine = self._parts.get(name)
            self._parts[name] = theirs if mine is None else self._part.merge_accumulators([mine, theirs])

    def extract(self) -> Any:
        """The ``DatasetFeatureStatisticsList``, datasets sorted by name behind the whole."""
        from tensorflow_metadata.proto.v0 import statistics_pb2

        result = statistics_pb2.DatasetFeatureStatisticsList()
        for name in [WHOLE, *sorted(self._parts.keys() - {WHOLE})]:
            dataset = result.datasets.add()
            dataset.CopyFrom(self._part.extract_output(self._parts[name]))
            dataset.name = name if self._slices else ""
        return result

    def _add(self, name: str, examples: pa.RecordBatch) -> None:
        if name not in self._parts:
            if len(self._parts) > MOST_SLICES:
                raise ConfigError(f"validation.slices: more than {MOST_SLICES} values; slice on a coarser column")
            self._parts[name] = self._part.create_accumulator()
        chosen = self._whole if name == WHOLE else self._part
        self._parts[name] = chosen.add_input(self._parts[name], examples)
