"""Stage 3: features."""

from interlock.components.images import ML
from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output


@dsl.component(base_image=ML, install_kfp_package=False)
def build_features(table: Input[Dataset], verdict: Input[Artifact], features: Output[Dataset], config: str):
    """Join, derive and split by time.

    Reads: ``table`` and its ``verdict``.
    Writes: ``features``, a folder with train, validation and test rows.
    Fails when: the verdict did not pass, a key repeats, or the label has one class.
    """
    from pathlib import Path

    from interlock.config import parse_config
    from interlock.contracts import DataVerdict, Table, read_contract
    from interlock.features.build import build_features as build

    built = build(
        parse_config(config),
        table=read_contract(Path(table.path) / "table.json", Table),
        verdict=read_contract(Path(verdict.path), DataVerdict),
        source=Path(table.path),
        folder=Path(features.path),
    )
    features.metadata.update(rows=sum(built.rows.values()), dropped_rows=built.dropped_rows)
