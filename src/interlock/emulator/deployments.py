"""Deployed models: the processes behind them, and the traffic routes that lead there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
import msgspec

from interlock.emulator.call import duration_seconds
from interlock.emulator.models import ContainerSpec, ModelBody
from interlock.emulator.replica import Replica, ServerProgram
from interlock.emulator.rpc import Document, precondition

LARGEST_REPLICA_COUNT = 2  # a laptop; more are asked for and not started
_START_SECONDS = 120.0
_DRAIN_SECONDS = 30.0


class Deployment:
    """A deployed model. ``in_flight`` counts the requests now being answered by it."""

    def __init__(self, entry: Document, display_name: str, replicas: Sequence[Replica]) -> None:
        self.id: str = entry["id"]
        self.model: str = entry["model"]
        self.version: str = entry["modelVersionId"]
        self.in_flight = 0
        self.replicas = replicas
        self._turn = 0
        fields = {
            "deployedModelId": self.id,
            "model": self.model,
            "modelVersionId": self.version,
            "modelDisplayName": display_name,
        }
        self.answer_tail = b"," + msgspec.json.encode(fields)[1:]  # what follows the predictions in an answer

    def next_replica(self, other_than: Replica | None = None) -> Replica | None:
        """The next replica in turn that can take a request."""
        for _ in self.replicas:
            self._turn = (self._turn + 1) % len(self.replicas)
            replica = self.replicas[self._turn]
            if replica.url is not None and replica is not other_than:
                return replica
        return None

    async def stop(self) -> None:
        """Let the requests in flight end, then the processes."""
        deadline = asyncio.get_running_loop().time() + _DRAIN_SECONDS
        while self.in_flight and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        await asyncio.gather(*(replica.stop() for replica in self.replicas))


class Route:
    """Where the requests of one endpoint go. ``log_rate``: share of them written to the serving log."""

    def __init__(self, endpoint: str, split: Mapping[str, int], deployments: Mapping[str, Deployment], log_rate: float):
        self.endpoint = endpoint
        self.log_rate = log_rate
        self.deployments = deployments
        self._targets = [deployments[key] for key, share in split.items() if share > 0 and key in deployments]
        self._shares = [share for key, share in split.items() if share > 0 and key in deployments]

    def choose(self, draw: float | None = None) -> Deployment | None:
        """A deployment at random by the traffic split, None if there is no traffic. ``draw`` is in [0, 1)."""
        if len(self._targets) < 2:
            return self._targets[0] if self._targets else None
        point = (random.random() if draw is None else draw) * 100
        for target, share in zip(self._targets, self._shares, strict=True):
            point -= share
            if point < 0:
                return target
        return self._targets[-1]


class Deployments:
    """All deployed models of the emulator, and its routes by endpoint id."""

    def __init__(
        self, *, state: Path, environments: Path, storage_endpoint: str, client: aiohttp.ClientSession
    ) -> None:
        self._logs = state / "servers"
        self._environments = environments
        self._storage_endpoint = storage_endpoint
        self._client = client
        self._running: dict[str, Deployment] = {}
        self.routes: dict[str, Route] = {}

    def prepare(self, entry: Document, model: Document, version: Document) -> Deployment:
        """A deployment that is not started; FAILED_PRECONDITION if the model cannot be served."""
        body = msgspec.convert(version, ModelBody)
        if body.container_spec is None:
            raise precondition(f"{model['name']}@{version['versionId']} has no containerSpec: upload it with an image")
        program = self._program(entry, body, body.container_spec)
        replicas = [
            Replica(program, self._logs / f"{entry['id']}-{number}.log", self._client)
            for number in range(replica_count(entry))
        ]
        return Deployment(entry, model["displayName"], replicas)

    def _program(self, entry: Document, body: ModelBody, container: ContainerSpec) -> ServerProgram:
        from interlock.local.environments import python_for

        environment = {variable.name: variable.value for variable in container.env}
        environment |= {
            "AIP_STORAGE_URI": body.artifact_uri,
            "AIP_HTTP_PORT": "0",
            "AIP_HEALTH_ROUTE": container.health_route or "/health",
            "AIP_PREDICT_ROUTE": container.predict_route or "/predict",
            "AIP_MODEL_VERSION": entry["modelVersionId"],
            "AIP_DEPLOYED_MODEL_ID": entry["id"],
        }
        if self._storage_endpoint:
            environment["STORAGE_EMULATOR_HOST"] = self._storage_endpoint
        return ServerProgram(
            command=[str(python_for(container.image_uri, self._environments)), "-m", "interlock.serving"],
            environment=environment,
            health_route=environment["AIP_HEALTH_ROUTE"],
            predict_route=environment["AIP_PREDICT_ROUTE"],
            start_seconds=duration_seconds(container.deployment_timeout, _START_SECONDS),
        )

    async def start(self, deployment: Deployment) -> None:
        """Start all replicas, or none."""
        self._running[deployment.id] = deployment
        starts = await asyncio.gather(*(replica.start() for replica in deployment.replicas), return_exceptions=True)
        for outcome in starts:
            if isinstance(outcome, BaseException):
                await self.stop(deployment.id)
                raise outcome

    def resume(self, deployment: Deployment) -> None:
        """Start in the background what was deployed before a restart."""
        self._running[deployment.id] = deployment
        for replica in deployment.replicas:
            replica.keep_starting()

    async def stop(self, identifier: str) -> None:
        """Drain and end one deployment."""
        deployment = self._running.pop(identifier, None)
        if deployment is not None:
            await deployment.stop()

    async def stop_all(self) -> None:
        """End everything."""
        await asyncio.gather(*(self.stop(identifier) for identifier in list(self._running)))

    def route(self, endpoint: Document) -> None:
        """Take over the split of ``endpoint``: the next request follows it."""
        identifier = endpoint["name"].rpartition("/")[2]
        ids = [entry["id"] for entry in endpoint["deployedModels"]]
        deployments = {key: self._running[key] for key in ids if key in self._running}
        split = endpoint.get("trafficSplit", {})
        self.routes[identifier] = Route(identifier, split, deployments, logged_share(endpoint))

    def unroute(self, identifier: str) -> None:
        """Forget an endpoint."""
        self.routes.pop(identifier, None)


def replica_count(entry: Document) -> int:
    """Replicas to start for a deployed model."""
    resources = entry.get("dedicatedResources") or entry.get("automaticResources") or {}
    return max(1, min(int(resources.get("minReplicaCount", 1)), LARGEST_REPLICA_COUNT))


def logged_share(endpoint: Document) -> float:
    """Share of requests to log. Assumption: an enabled log without a rate logs everything."""
    config = endpoint.get("predictRequestResponseLoggingConfig") or {}
    return float(config.get("samplingRate") or 1.0) if config.get("enabled") else 0.0
