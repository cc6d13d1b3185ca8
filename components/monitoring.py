"""Stage 9: monitoring."""

from typing import NamedTuple

from interlock.components.images import ML
from kfp import dsl
from kfp.dsl import HTML, Artifact, Metrics, Output


@dsl.component(base_image=ML, install_kfp_package=False)
def monitor_deployment(
    report: Output[Artifact],
    page: Output[HTML],
    metrics: Output[Metrics],
    config: str,
    place: str,
    hours: float,
    retrain: str,
) -> NamedTuple("Outputs", verdict=str, training=str):
    """Compare the last ``hours`` of live traffic with what the production version was trained and evaluated on; act.

    Reads: the registry, the endpoint, the serving log and the outcomes.
    Writes: ``report`` (monitoring-report/v1), ``page``; the monitoring log. Returns ``ok``, ``alert`` or ``error``, and
    the training job it submitted, '' for none.
    Fails when: nothing is in production, the warehouse cannot be read, or an action that was due did not succeed.
    """
    from pathlib import Path
    from typing import NamedTuple

    from interlock.config import parse_config
    from interlock.contracts import parse_place, write_contract
    from interlock.errors import EnvironmentProblem
    from interlock.monitoring.act import failures
    from interlock.report.monitoring_page import render_monitoring
    from interlock.vertex.monitoring import monitor, parse_retrain

    judged = monitor(
        parse_place(place),
        parse_config(config),
        hours=hours,
        folder=Path(report.path + ".model"),
        retrain=parse_retrain(retrain),
    )
    write_contract(judged, Path(report.path))
    Path(page.path).write_text(render_monitoring(judged), encoding="utf-8")
    for name in ("requests", "failed", "with_outcome", "cost", "score_divergence"):
        if (value := getattr(judged, name)) is not None:
            metrics.log_metric(name, value)
    if failed := failures(judged):
        raise EnvironmentProblem("; ".join(failed))
    training = next((each.detail for each in judged.actions if (each.action, each.outcome) == ("train", "done")), "")
    return NamedTuple("Outputs", verdict=str, training=str)(judged.verdict, training)


@dsl.component(base_image=ML, install_kfp_package=False)
def deploy_retrained(config: str, place: str, retrain: str, training: str) -> str:
    """Wait for the training that monitoring submitted; deploy what passed its gates.

    Reads: the training job. Returns the deployment job, '' where the config does not ask for one.
    Fails when: the training did not succeed, for instance because a gate closed.
    """
    from interlock.config import parse_config
    from interlock.contracts import parse_place
    from interlock.errors import ContractError
    from interlock.vertex.monitoring import deploy_retrained as deploy
    from interlock.vertex.monitoring import parse_retrain

    known = parse_retrain(retrain)
    if known is None:
        raise ContractError("parameter retrain is empty: create the schedule with `interlock schedule`")
    return deploy(parse_place(place), parse_config(config), known, training)
