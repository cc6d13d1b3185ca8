"""Stage 2: validation."""

from interlock.components.images import DATA
from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Output


@dsl.component(base_image=DATA, install_kfp_package=False)
def validate_data(
    table: Input[Dataset],
    statistics: Output[Artifact],
    verdict: Output[Artifact],
    page: Output[HTML],
    config: str,
    schema: str,
):
    """Compute TFDV statistics and hold the table against schema, rules and reference span.

    Reads: ``table``; ``schema`` is the text of the schema, '' for none.
    Writes: ``statistics`` (DatasetFeatureStatisticsList), ``verdict`` (data-verdict/v1), ``page`` (HTML).
    Fails when: the schema cannot be parsed. Anomalies do not fail here: build_features refuses the verdict.
    """
    import sys
    from pathlib import Path

    from interlock.config import parse_config
    from interlock.contracts import write_contract
    from interlock.progress import Progress
    from interlock.validation.stage import validate_table

    with Progress(sys.stderr) as say:
        folder = Path(table.path)
        judged, computed, html = validate_table(parse_config(config), schema_text=schema, folder=folder, say=say)
    Path(statistics.path).write_bytes(computed.SerializeToString())
    Path(page.path).write_text(html, encoding="utf-8")
    write_contract(judged, Path(verdict.path))
    verdict.metadata.update(passed=judged.passed, anomalies=len(judged.anomalies))
