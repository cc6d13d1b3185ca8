"""The statistics of :mod:`interlock.validation.statistics` as a Beam pipeline: many machines, the same generators.

::

    row groups of the table -> batches -> (slice, examples) -> combine per slice -> one DatasetFeatureStatisticsList

Any Beam runner takes it; ``validation.engine: dataflow`` hands it to Dataflow. Runs in the ``data`` environment only.
Workers import this module by name, so nothing of the launching process is pickled but names and columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from interlock.errors import EnvironmentProblem
from interlock.validation.batches import as_examples, one_value_per_slice, take
from interlock.validation.statistics import BATCH_ROWS, WHOLE, combiner, require_table


class Combine(beam.CombineFn):  # type: ignore[misc]
    """TFDV's combiner, built where it runs."""

    def __init__(self, weight: str) -> None:
        self._weight = weight

    def setup(self) -> None:
        """Load TFDV, once per worker."""
        self._combiner = combiner(weight=self._weight, rows=BATCH_ROWS)
        self._combiner.setup()

    def create_accumulator(self) -> Any:
        """Nothing seen yet."""
        return self._combiner.create_accumulator()

    def add_input(self, accumulator: Any, examples: pa.RecordBatch) -> Any:
        """The next rows of a slice."""
        return self._combiner.add_input(accumulator, examples)

    def merge_accumulators(self, accumulators: Iterable[Any]) -> Any:
        """What several workers have seen of a slice."""
        return self._combiner.merge_accumulators(accumulators)

    def compact(self, accumulator: Any) -> Any:
        """Small enough to be sent."""
        return self._combiner.compact(accumulator)

    def extract_output(self, accumulator: Any) -> bytes:
        """``DatasetFeatureStatistics``, serialized."""
        return bytes(self._combiner.extract_output(accumulator).SerializeToString())


def beam_statistics(
    table: str, output: str, *, slices: Sequence[str] = (), weight: str = "", options: Sequence[str]
) -> Any:
    """Statistics of the Parquet file ``table`` (a path or ``gs://…``), which also stand in ``output`` afterwards.

    ``options`` are Beam's command line. :class:`EnvironmentProblem` when the job does not end well.
    """
    from tensorflow_metadata.proto.v0 import statistics_pb2

    with FileSystems.open(table) as stream, pq.ParquetFile(stream) as file:
        groups = [(table, group) for group in range(file.num_row_groups)]
        require_table(file.schema_arrow.names, slices=slices, weight=weight)
    pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
    _ = (
        pipeline
        | "RowGroups" >> beam.Create(groups)
        | "Spread" >> beam.Reshuffle()
        | "Read" >> beam.FlatMap(read_group)
        | "Slice" >> beam.FlatMap(sliced, slices=list(slices))
        | "Combine" >> beam.CombinePerKey(Combine(weight))
        | "Together" >> beam.combiners.ToList()
        | "Write" >> beam.Map(write, output=output, named=bool(slices))
    )
    job = pipeline.run()
    state = str(job.wait_until_finish())
    if state != "DONE":
        raise EnvironmentProblem(f"statistics of {table}: the Beam job ended {state}; see its log")
    result = statistics_pb2.DatasetFeatureStatisticsList()
    with FileSystems.open(output) as stream:
        result.ParseFromString(stream.read())
    return result


def read_group(place: tuple[str, int]) -> Iterator[pa.RecordBatch]:
    """Batches of one row group."""
    table, group = place
    with FileSystems.open(table) as stream, pq.ParquetFile(stream) as file:
        yield from file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group])


def sliced(batch: pa.RecordBatch, slices: Sequence[str]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The batch itself, and its part in each slice."""
    yield WHOLE, as_examples(batch)
    for column in slices:
        for name, rows in one_value_per_slice(batch, column):
            yield name, as_examples(take(batch, rows))


def write(datasets: Sequence[tuple[str, bytes]], output: str, named: bool) -> None:
    """All datasets into ``output``, sorted by name behind the whole."""
    from tensorflow_metadata.proto.v0 import statistics_pb2

    result = statistics_pb2.DatasetFeatureStatisticsList()
    for name, serialized in sorted(datasets, key=lambda each: (each[0] != WHOLE, each[0])):
        dataset = result.datasets.add()
        dataset.ParseFromString(serialized)
        dataset.name = name if named else ""
    with FileSystems.create(output) as stream:
        stream.write(result.SerializeToString())
