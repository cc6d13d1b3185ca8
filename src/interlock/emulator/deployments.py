"""Deployed models: the processes behind them, and the traffic routes that lead there."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import msgspec

from interlock.emulator.call import duration_seconds
from interlock.emulator.models import ModelBody
from interlock.emulator.programs import Programs, ServerProgram
from interlock.emulator.replica import Replica
from interlock.emulator.rpc import Document, not_found, precondition

LARGEST_REPLICA_COUNT = 4  # a laptop; a production setting of more is accepted and so many are started
_DRAIN_SECONDS = 30.0
_INFERENCE_SECONDS = 60.0  # the service's limit on an online prediction


class Deployment:
    """A deployed model. ``in_flight`` counts the requests now being answered by it."""

    def __init__(self, entry: Document, display_name: str) -> None:
        self.id: str = entry["id"]
        self.model: str = entry["model"]
        self.version: str = entry["modelVersionId"]
        self.in_flight = 0
        self.replicas: list[Replica] = []
        self.numbers = itertools.count()
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
        replicas = self.replicas
        for _ in replicas:
            self._turn = (self._turn + 1) % len(replicas)
            replica = replicas[self._turn]
            if replica.upstream is not None and replica is not other_than:
                return replica
        return None

    async def stop(self) -> None:
        """Let the requests in flight end, then the processes."""
        await _until_idle(self)
        await asyncio.gather(*(replica.stop() for replica in self.replicas))


async def _until_idle(busy: Deployment | Replica) -> None:
    deadline = asyncio.get_running_loop().time() + _DRAIN_SECONDS
    while busy.in_flight and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.01)


class Route:
    """Where the requests of one endpoint go. ``log_rate``: share of them written to the serving log."""

    def __init__(self, endpoint: str, split: Mapping[str, int], deployments: Mapping[str, Deployment], log_rate: float):
        self.endpoint = endpoint
        self.log_rate = log_rate
        self.seconds = _INFERENCE_SECONDS
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

    def __init__(self, *, logs: Path, programs: Programs, client: aiohttp.ClientSession, health_seconds: float) -> None:
        self._logs = logs
        self._programs = programs
        self._client = client
        self._health_seconds = health_seconds
        self._running: dict[str, Deployment] = {}
        self._prepared: dict[str, ServerProgram] = {}
        self.routes: dict[str, Route] = {}

    async def prepare(self, entry: Document, model: Document, version: Document) -> Deployment:
        """A deployment that is not started; FAILED_PRECONDITION if the model cannot be served."""
        body = msgspec.convert(version, ModelBody)
        if body.container_spec is None:
            raise precondition(f"{model['name']}@{version['versionId']} has no containerSpec: upload it with an image")
        self._prepared[entry["id"]] = await self._programs.program(entry, body, body.container_spec)
        deployment = Deployment(entry, model["displayName"])
        deployment.replicas = [self._replica(deployment) for _ in range(replica_count(entry))]
        return deployment

    def _replica(self, deployment: Deployment) -> Replica:
        log_file = self._logs / f"{deployment.id}-{next(deployment.numbers)}.log"
        return Replica(self._prepared[deployment.id], log_file, self._client, self._health_seconds)

    async def start(self, deployment: Deployment) -> None:
        """Start all replicas, or none."""
        self._running[deployment.id] = deployment
        try:
            await _start_all(deployment.replicas)
        except BaseException:  # cancelled as well: no server may be left behind
            await self.stop(deployment.id)
            raise

    def resume(self, deployment: Deployment) -> None:
        """Start in the background what was deployed before a restart."""
        self._running[deployment.id] = deployment
        for replica in deployment.replicas:
            replica.keep_starting()

    async def scale(self, identifier: str, count: int) -> None:
        """Have ``count`` replicas: all of the new ones or none of them; those that go answer what they have."""
        deployment = self._running.get(identifier)
        if deployment is None:
            raise not_found(f"deployed model {identifier}")
        more = [self._replica(deployment) for _ in range(count - len(deployment.replicas))]
        try:
            await _start_all(more)
        except BaseException:
            await asyncio.gather(*(replica.stop() for replica in more))
            raise
        gone = deployment.replicas[count:]
        deployment.replicas = [*deployment.replicas[:count], *more]
        await asyncio.gather(*(_retire(replica) for replica in gone))

    def servers(self) -> list[Document]:
        """What each server process is and uses, for people."""
        return [
            {"deployedModelId": deployment.id, **replica.usage()}
            for deployment in self._running.values()
            for replica in deployment.replicas
        ]

    async def stop(self, identifier: str) -> None:
        """Drain and end one deployment."""
        deployment = self._running.pop(identifier, None)
        self._prepared.pop(identifier, None)
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
        route = Route(identifier, split, deployments, logged_share(endpoint))
        asked = (endpoint.get("clientConnectionConfig") or {}).get("inferenceTimeout", "")
        route.seconds = duration_seconds(asked, _INFERENCE_SECONDS)
        self.routes[identifier] = route

    def unroute(self, identifier: str) -> None:
        """Forget an endpoint."""
        self.routes.pop(identifier, None)


async def _start_all(replicas: list[Replica]) -> None:
    """Start them at once; the first failure is raised when all have been tried."""
    starts = await asyncio.gather(*(replica.start() for replica in replicas), return_exceptions=True)
    for outcome in starts:
        if isinstance(outcome, BaseException):
            raise outcome


async def _retire(replica: Replica) -> None:
    await _until_idle(replica)
    await replica.stop()


def replica_count(entry: Document) -> int:
    """Replicas to start for a deployed model."""
    resources = entry.get("dedicatedResources") or entry.get("automaticResources") or {}
    return max(1, min(int(resources.get("minReplicaCount") or 1), LARGEST_REPLICA_COUNT))


def logged_share(endpoint: Document) -> float:
    """Share of requests to log. Assumption: an enabled log without a rate logs everything."""
    config = endpoint.get("predictRequestResponseLoggingConfig") or {}
    return float(config.get("samplingRate") or 1.0) if config.get("enabled") else 0.0
