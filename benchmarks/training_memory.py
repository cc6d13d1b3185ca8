"""How many rows one GB of memory trains: ten numbers and three categories, as the example has them, made up.

Each size is trained in a process of its own by the component's core, on one thread, and the highest resident memory is
read when it ends. The difference of two sizes is what rows cost, without the libraries. The last line is JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from interlock.config import load_config
from interlock.contracts import Features
from interlock.training.train import Provenance, train_model

EXAMPLE = Path(__file__).parents[1] / "examples" / "flights" / "config.yaml"
SIZES = (1_000_000, 4_000_000)
ITERATIONS = 10  # memory does not grow with them
CHUNK = 250_000


def write_rows(path: Path, rows: int, seed: int) -> None:
    """A split as the features stage writes it; written in parts, so that making it costs no memory."""
    config, random, writer = load_config(EXAMPLE), np.random.default_rng(seed), None
    for start in range(0, rows, CHUNK):
        n = min(CHUNK, rows - start)
        columns: dict[str, pa.Array] = {
            "row_key": pa.array([f"2013-01-01 05:00:00|UA|{start + i}|EWR" for i in range(n)]),
            "row_time": pa.array(1_356_998_400 + 30 * np.arange(start, start + n), pa.timestamp("s")),
            "late": pa.array((random.random(n) < 0.2).astype(np.int8)),
        }
        columns |= {name: pa.array(random.normal(size=n).astype(np.float32)) for name in config.features.numbers}
        for name, values in zip(config.features.categories, (16, 3, 105), strict=True):
            columns[name] = pa.array([f"{name[0].upper()}{i:02d}" for i in random.integers(0, values, n)])
        part = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, part.schema, compression="zstd")
        writer.write_table(part)
    assert writer is not None
    writer.close()


def train(folder: Path) -> None:
    """Train, and print peak memory in bytes and seconds."""
    base = load_config(EXAMPLE)
    training = msgspec.structs.replace(base.training, parameters={"max_iter": ITERATIONS})
    config = msgspec.structs.replace(base, training=training)
    empty = Features(
        table_sha256="", sha256="", label="late", numbers=[], categories=[], rows={}, dropped_rows=0, boundaries={}
    )
    began = time.perf_counter()
    where = folder / "candidate"
    train_model(config, features=empty, source=folder, folder=where, provenance=Provenance(config="", window=[]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak_bytes": peak, "seconds": round(time.perf_counter() - began, 1)}))


def main() -> None:
    peaks = []
    for rows in SIZES:
        with tempfile.TemporaryDirectory(prefix="interlock-memory-") as name:
            folder = Path(name)
            write_rows(folder / "train.parquet", rows, 0)
            for split in ("validation", "test"):
                write_rows(folder / f"{split}.parquet", 20_000, 1)
            command = [sys.executable, __file__, name]
            done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            print(f"{rows} rows: {found}", flush=True)
            peaks.append(found["peak_bytes"])
    per_row = (peaks[1] - peaks[0]) / (SIZES[1] - SIZES[0])
    libraries = peaks[0] - per_row * SIZES[0]
    print(
        json.dumps(
            {
                "bytes_per_row": round(per_row),
                "rows_per_gb": round(1e9 / per_row, -4),
                "libraries_megabytes": round(libraries / 1e6),
            }
        )
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train(Path(sys.argv[1]))
    else:
        main()
