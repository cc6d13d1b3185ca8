"""Stage 2: validation."""

from interlock.components.images import DATA
from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output


@dsl.component(base_image=DATA, install_kfp_package=False)
def validate_data(
    table: Input[Dataset], statistics: Output[Artifact], verdict: Output[Artifact], config: str, schema: str
):
    """Compute TFDV statistics and hold them against the reviewed schema.

    Reads: ``table``; ``schema`` is the text of the schema, '' for none.
    Writes: ``statistics`` (DatasetFeatureStatisticsList), ``verdict`` (data-verdict/v1).
    Fails when: the schema cannot be parsed. Anomalies do not fail here: build_features refuses the verdict.
    """
    from pathlib import Path

    from interlock.config import parse_config
    from interlock.contracts import Table, read_contract, write_contract
    from interlock.validation.statistics import compute_statistics
    from interlock.validation.validate import judge_statistics

    read = read_contract(Path(table.path) / "table.json", Table)
    computed = compute_statistics(Path(table.path) / "table.parquet")
    Path(statistics.path).write_bytes(computed.SerializeToString())
    judged = judge_statistics(parse_config(config), schema_text=schema, table=read, statistics=computed)
    write_contract(judged, Path(verdict.path))
    verdict.metadata.update(passed=judged.passed, anomalies=len(judged.anomalies))
