"""Long work shows how far it is, and neither floods a log nor leaves a terminal dirty."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from interlock.ingestion.streams import BATCH_ROWS
from interlock.progress import WIPE, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(stream: io.StringIO, texts_at: list[tuple[float, str]]) -> str:
    now = 100.0
    with Progress(stream, clock=lambda: now) as progress:
        for moment, text in texts_at:
            now = 100.0 + moment
            progress(text)
    return stream.getvalue()


def test_a_log_gets_a_line_every_ten_seconds() -> None:
    seconds = [(second / 2, f"{second} done") for second in range(50)]
    assert show(io.StringIO(), seconds) == "20 done, 10 s\n40 done, 20 s\n"
    assert show(io.StringIO(), seconds[:19]) == ""


def test_a_terminal_gets_one_line_that_changes_and_goes() -> None:
    shown = show(Terminal(), [(0, "a"), (0.05, "b"), (0.2, "c" * 300)])
    assert shown.split(WIPE) == ["", "a, 0 s", "c" * 100, ""]


def test_ingestion_says_file_and_rows(tmp_path: Path) -> None:
    from interlock.ingestion.ingest import copy_rows
    from interlock.ingestion.sources import open_source

    n = 2 * BATCH_ROWS + 5
    pq.write_table(pa.table({"x": range(n)}), tmp_path / "t.parquet")
    said: list[str] = []
    batches = list(copy_rows(open_source("t.parquet", tmp_path), ["x"], None, said.append))
    assert sum(batch.num_rows for batch in batches) == n
    assert said[-1] == f"reading {tmp_path / 't.parquet'}: {n:,} rows"
