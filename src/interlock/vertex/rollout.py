"""A rollout on Vertex AI: where endpoint, registry, warehouse and clock are put together."""

from __future__ import annotations

from interlock.config import Config
from interlock.contracts import ModelVersion, Place
from interlock.errors import EndpointError, EvidenceError
from interlock.rollout.checks import Source
from interlock.rollout.controller import Rollout
from interlock.rollout.deploy import Probe, deploy_candidate, deployed_as
from interlock.rollout.history import rollouts
from interlock.rollout.journal import RolloutJournal
from interlock.rollout.ports import SystemClock
from interlock.rollout.settlement import Ports, Settlement
from interlock.vertex.endpoint import VertexEndpoint
from interlock.vertex.registry import VertexModelRegistry
from interlock.warehouse import open_warehouse


def open_rollout(place: Place, config: Config, rollout_id: str) -> Rollout:
    """The rollout ``rollout_id`` of the config's model on its endpoint, as far as it has come."""
    engine = open_warehouse(place.warehouse)
    registry = VertexModelRegistry(place, config.name)
    ports = Ports(
        journal=RolloutJournal(engine, rollout_id),
        endpoint=VertexEndpoint(place, config.name),
        registry=registry,
        clock=SystemClock(),
        rescorer=registry,
    )
    source = Source(engine, config.name, config.metrics, config.cost, config.strategy.attribution_seconds)
    return Rollout(ports, source, config.strategy)


def begin_rollout(
    place: Place, config: Config, rollout_id: str, version: ModelVersion, champion: str, probe: Probe
) -> None:
    """Deploy ``version`` at 0 % beside the ``champion`` ('' = none yet) and write the journal's first entry."""
    endpoint = VertexEndpoint(place, config.name)
    probing = VertexEndpoint(place, f"{config.name}-probe")
    deployed = deploy_candidate(endpoint, probing, version, serving=config.serving, probe=probe)
    open_rollout(place, config, rollout_id).begin(
        champion, version.version, deployed_as(endpoint, champion) if champion else "", deployed
    )


def settle_rollout(place: Place, config: Config, rollout_id: str, *, pipeline_state: str) -> str:
    """Settle and return the outcome. A pipeline that went through without a verdict is an error, not a success."""
    settled = open_rollout(place, config, rollout_id).settle()
    if pipeline_state == "SUCCEEDED" and settled.outcome not in {"promoted", "rolled back", "aborted"}:
        raise EvidenceError(
            f"rollout {rollout_id} ended {settled.outcome} though every task succeeded: a branch of the pipeline "
            f"did not run; production is version {settled.production or 'none'}"
        )
    return settled.outcome


def roll_back_latest(place: Place, config: Config, reason: str) -> Settlement:
    """Roll back the newest rollout on the config's endpoint, whatever phase it is in."""
    found = rollouts(open_warehouse(place.warehouse), config.name)
    if not found:
        raise EndpointError(f"endpoint {config.name} has no rollout to roll back")
    rollout = open_rollout(place, config, found[-1][0])
    rollout.roll_back(reason)
    return rollout.settle()
