"""A rollout on Vertex AI: where endpoint, registry, warehouse and clock are put together."""

from __future__ import annotations

from pathlib import Path

from interlock.config import Config
from interlock.contracts import ModelVersion, Place
from interlock.errors import EndpointError, EvidenceError
from interlock.registry.aliases import PREVIOUS
from interlock.rollout.checks import Source
from interlock.rollout.controller import Outcome, Rollout
from interlock.rollout.deploy import Probe, deploy_candidate, deployed_as
from interlock.rollout.emergency import LEAST_IN_PRODUCTION, shares, switch_traffic
from interlock.rollout.history import newest_rollout, open_rollouts
from interlock.rollout.journal import Approved, RolloutJournal
from interlock.rollout.ports import SystemClock
from interlock.rollout.settlement import Ports, Settlement
from interlock.rollout.shadow import ShadowLog
from interlock.rollout.state import fold
from interlock.vertex.counters import cloud_counters
from interlock.vertex.endpoint import VertexEndpoint
from interlock.vertex.registry import VertexModelRegistry
from interlock.warehouse import open_warehouse


def open_rollout(place: Place, config: Config, rollout_id: str, patience_seconds: float = 30.0) -> Rollout:
    """The rollout ``rollout_id`` of the config's model on its endpoint, as far as it has come."""
    engine = open_warehouse(place.warehouse, patience_seconds)
    registry = VertexModelRegistry(place, config.name, allow_pickle=config.training.allow_pickle)
    ports = Ports(
        journal=RolloutJournal(engine, rollout_id),
        endpoint=VertexEndpoint(place, config.name),
        registry=registry,
        clock=SystemClock(),
        rescorer=registry,
    )
    source = Source(
        engine,
        config.name,
        config.metrics,
        config.cost,
        config.strategy.attribution_seconds,
        config.strategy.settling_seconds,
        cloud_counters(place),
        config.strategy.user_key,
        config.strategy.stratify_by,
    )
    return Rollout(ports, source, config.strategy)


def begin_rollout(
    place: Place, config: Config, rollout_id: str, version: ModelVersion, champion: str, probe: Probe
) -> None:
    """Deploy ``version`` at 0 % beside the ``champion`` ('' = none yet) and write the journal's first entry."""
    endpoint = VertexEndpoint(place, config.name)
    probing = VertexEndpoint(place, f"{config.name}-probe")
    rollout = open_rollout(place, config, rollout_id)
    rollout.require_free()  # before anything is deployed; begin asks again
    if champion:
        end_holdback(endpoint, champion, VertexModelRegistry(place, config.name).version_with(PREVIOUS) or "")
    deployed = deploy_candidate(endpoint, probing, version, serving=config.serving, probe=probe)
    rollout.begin(champion, version.version, deployed_as(endpoint, champion) if champion else "", deployed)


def settle_rollout(place: Place, config: Config, rollout_id: str, *, pipeline_state: str) -> str:
    """Settle and return the outcome. A pipeline that went through without a verdict is an error, not a success."""
    settled = open_rollout(place, config, rollout_id).settle()
    if pipeline_state == "SUCCEEDED" and settled.outcome not in {"promoted", "rolled back", "aborted"}:
        raise EvidenceError(
            f"rollout {rollout_id} ended {settled.outcome} though every task succeeded: a branch of the pipeline "
            f"did not run; production is version {settled.production or 'none'}"
        )
    return settled.outcome


def shadow_rollout(place: Place, config: Config, rollout_id: str, version: ModelVersion) -> str:
    """Deploy ``version`` on ``<name>-shadow``, let it answer logged requests until that decides, and remove it."""
    rollout = open_rollout(place, config, rollout_id)
    if config.strategy.shadow is None or not rollout.state().start.champion_deployed:
        return str(Outcome.CONTINUE)
    endpoint = VertexEndpoint(place, f"{config.name}-shadow")
    endpoint.delete()  # what an earlier run may have left
    endpoint.ensure()
    try:
        endpoint.deploy(version, config.serving, percent=100)
        log = ShadowLog(rollout.source.engine, config.name, config.cost, config.slices)
        return str(rollout.shadow(endpoint, log))
    finally:
        endpoint.delete()


def write_timeline(place: Place, config: Config, rollout_id: str, path: str, *, step: int = 0) -> None:
    """The evidence of ``rollout_id`` as an HTML page at ``path``. A picture never decides: none is no failure."""
    from interlock.report.from_journal import timeline_html

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    steps = len(config.strategy.steps)
    try:
        if steps and step >= steps:
            page = f"<p>the plan has {steps} steps: nothing was judged here</p>"
        else:
            page = timeline_html(place.warehouse, config, rollout_id)
    except EvidenceError as error:
        page = f"<p>no timeline: {error}</p>"
    Path(path).write_text(page, encoding="utf-8")


def end_holdback(endpoint: VertexEndpoint, champion: str, previous: str) -> None:
    """What the last rollout held back goes: all traffic to the champion, ``previous`` off the endpoint.

    Any other split is a person's, and stays for the rollout to refuse.
    """
    found = endpoint.find()
    if found is None or set(shares(found)) != {champion, previous} or shares(found)[champion] < LEAST_IN_PRODUCTION:
        return
    switch_traffic(endpoint, champion)
    endpoint.undeploy(deployed_as(endpoint, previous))


def approve(place: Place, config: Config, by: str) -> int:
    """A person's agreement with the step that the rollout under way is in; its index."""
    engine = open_warehouse(place.warehouse)
    waiting = open_rollouts(engine, config.name)
    if not waiting:
        raise EndpointError(f"endpoint {config.name} has no rollout under way: nothing to approve")
    journal = RolloutJournal(engine, waiting[-1])
    state = fold(journal.entries())
    step = max(state.step_began, default=0)
    journal.append(Approved(step=step, by=by))
    return step


def watch_holdback(place: Place, config: Config) -> str:
    """One look at the newest rollout while a holdback remains; rolls back, and settles, if it shows harm."""
    id_, _ = newest_rollout(open_warehouse(place.warehouse), config.name)
    if not id_:
        raise EndpointError(f"endpoint {config.name} has no rollout to watch")
    rollout = open_rollout(place, config, id_)
    outcome = rollout.watch()
    if outcome == "rolled back":
        rollout.settle()
    return str(outcome)


def settle_open(place: Place, config: Config) -> list[tuple[str, Settlement]]:
    """Settle every rollout on the config's endpoint whose pipeline is dead."""
    ids = open_rollouts(open_warehouse(place.warehouse), config.name)
    return [(id_, open_rollout(place, config, id_).settle()) for id_ in ids]
