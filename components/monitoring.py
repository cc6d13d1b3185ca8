"""Stage 9: monitoring."""

from interlock.components.images import ML
from kfp import dsl
from kfp.dsl import Artifact, Metrics, Output


@dsl.component(base_image=ML, install_kfp_package=False)
def monitor_deployment(
    report: Output[Artifact], metrics: Output[Metrics], config: str, place: str, hours: float
) -> str:
    """Compare the last ``hours`` of live traffic with what the production version was evaluated on.

    Reads: the registry, the serving log and the outcomes.
    Writes: ``report`` (monitoring-report/v1). Returns ``ok``, ``alert`` or ``not enough data``.
    Fails when: nothing is in production, or the warehouse cannot be read.
    """
    from pathlib import Path

    from interlock.config import parse_config
    from interlock.contracts import parse_place, write_contract
    from interlock.vertex.monitoring import monitor

    judged = monitor(parse_place(place), parse_config(config), hours=hours, folder=Path(report.path + ".model"))
    write_contract(judged, Path(report.path))
    for name in ("requests", "failed", "with_outcome", "cost", "score_divergence"):
        if (value := getattr(judged, name)) is not None:
            metrics.log_metric(name, value)
    return judged.verdict
