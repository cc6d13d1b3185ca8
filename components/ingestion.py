"""Stage 1: ingestion."""

from interlock.components.images import ML
from kfp import dsl
from kfp.dsl import Dataset, Output


@dsl.component(base_image=ML, install_kfp_package=False)
def ingest_table(table: Output[Dataset], config: str, start: str, end: str, base: str):
    """Copy the source's rows of a time window into Parquet, with a fingerprint.

    Reads: the tables named in ``config``; relative paths start at ``base``.
    Writes: ``table``, a folder with table.json.
    Fails when: a source is missing, unreadable, or has no row in [start, end).
    """
    import sys
    from pathlib import Path

    from interlock.config import parse_config
    from interlock.ingestion.ingest import ingest_table as ingest
    from interlock.progress import Progress

    with Progress(sys.stderr) as say:
        read = parse_config(config)
        written = ingest(read, start=start, end=end, base=Path(base), folder=Path(table.path), say=say)
    table.metadata.update(rows=written.rows, sha256=written.sha256)
