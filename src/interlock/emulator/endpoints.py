"""EndpointService: endpoints, their traffic, and what is deployed to them.

::

    deployModel    check ─> start servers ─> healthy ─> entry + split in one change ─> done
                                  └─ not ─> error with the end of the log; the endpoint is as it was
    undeployModel  entry and split leave in one change ─> requests in flight end ─> servers end ─> done
"""

from __future__ import annotations

import logging
from typing import Annotated, Any

import msgspec

from interlock.emulator.call import Call
from interlock.emulator.dedicated import DedicatedPort
from interlock.emulator.deployments import Deployments, replica_count
from interlock.emulator.listing import page
from interlock.emulator.masks import masked_update
from interlock.emulator.models import Models
from interlock.emulator.names import Location, check_id, new_id, timestamp
from interlock.emulator.operations import Operations, answer
from interlock.emulator.rpc import Document, already_exists, check_etag, invalid, not_found, precondition
from interlock.emulator.store import Store, public
from interlock.emulator.traffic import check_split, split_after_deploy, split_after_undeploy
from interlock.errors import InterlockError

KIND = "endpoint"
_MUTABLE = (
    *("displayName", "description", "labels", "trafficSplit"),
    *("predictRequestResponseLoggingConfig", "clientConnectionConfig"),
)
_MUTABLE_DEPLOYED = ("dedicatedResources", "automaticResources", "disableContainerLogging", "enableContainerLogging")
_OUTPUT_ONLY = ("deployedModels", "trafficSplit", "createTime", "updateTime", "dedicatedEndpointDns")

Split = dict[str, int]
log = logging.getLogger(__name__)


class _Logging(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    enabled: bool = False
    sampling_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


class _Connection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    inference_timeout: Annotated[str, msgspec.Meta(pattern=r"^\d{1,9}(\.\d+)?s$")] = "60s"


class _Endpoint(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    display_name: str = ""
    description: str = ""
    labels: dict[str, str] = {}
    traffic_split: Split = {}
    predict_request_response_logging_config: _Logging | None = None
    client_connection_config: _Connection | None = None
    dedicated_endpoint_enabled: bool = False
    etag: str = ""


class _Resources(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    min_replica_count: Annotated[int, msgspec.Meta(ge=0)] = 1


class _DeployedModel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    model: str
    id: str = ""
    display_name: str = ""
    dedicated_resources: _Resources | None = None
    automatic_resources: _Resources | None = None


class _Mutated(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    id: str


class _Deploy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    deployed_model: dict[str, Any]
    traffic_split: Split = {}


class _Mutate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    deployed_model: dict[str, Any]
    update_mask: str = ""


class _LongUpdate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    endpoint: dict[str, Any]


class _Undeploy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    deployed_model_id: str
    traffic_split: Split = {}


class Endpoints:
    """Endpoints in the store, and the deployments behind them."""

    def __init__(
        self,
        store: Store,
        location: Location,
        operations: Operations,
        models: Models,
        deployments: Deployments,
        dedicated: DedicatedPort,
    ) -> None:
        self._store = store
        self._location = location
        self._operations = operations
        self._models = models
        self._deployments = deployments
        self._dedicated = dedicated

    async def resume(self) -> None:
        """After a restart: start what was deployed, and route to it."""
        for endpoint in self._store.all(KIND):
            for entry in endpoint["deployedModels"]:
                try:
                    model, version = self._models.read(_model_id(entry))
                    self._deployments.resume(await self._deployments.prepare(entry, model, version))
                except InterlockError as error:
                    log.warning("deployed model %s of %s does not come back: %s", entry["id"], endpoint["name"], error)
            self._deployments.route(endpoint)

    def _read(self, identifier: str) -> Document:
        name = self._location.name("endpoints", identifier)
        endpoint = self._store.get(name)
        if endpoint is None:
            raise not_found(name)
        return endpoint

    def _shown(self, endpoint: Document) -> Document:
        """``endpoint`` as it is answered; the address of a dedicated one is another after each start."""
        shown = public(endpoint)
        return {**shown, "dedicatedEndpointDns": self._dedicated.dns()} if _is_dedicated(endpoint) else shown

    def _write(self, endpoint: Document) -> Document:
        return self._store.put(KIND, {**endpoint, "updateTime": timestamp()})

    # --- endpoints -------------------------------------------------------------------------------------

    def create(self, call: Call) -> Document:
        """CreateEndpoint, with ``?endpointId`` if the caller chooses the id."""
        if not call.typed(_Endpoint).display_name:
            raise invalid("endpoint.displayName is required")
        identifier = call.query.get("endpointId", "")
        if identifier:
            check_id("endpointId", identifier)
        name = self._location.name("endpoints", identifier or new_id())
        if self._store.get(name) is not None:
            raise already_exists(name)
        kept = {key: value for key, value in public(call.body).items() if key not in _OUTPUT_ONLY}
        endpoint = {**kept, "name": name, "deployedModels": [], "trafficSplit": {}, "createTime": timestamp()}
        with self._store.transaction():
            endpoint = self._write(endpoint)
            operation = self._operations.complete(call, "CreateEndpoint", "Endpoint", self._shown(endpoint))
        self._deployments.route(endpoint)
        return operation

    def get(self, call: Call) -> Document:
        """GetEndpoint."""
        return self._shown(self._read(call.ids[0]))

    def list_endpoints(self, call: Call) -> Document:
        """ListEndpoints."""
        return page([self._shown(endpoint) for endpoint in self._store.all(KIND)], call.query, "endpoints")

    def update(self, call: Call) -> Document:
        """UpdateEndpoint: a stale etag is refused, an absent one overwrites."""
        body = call.typed(_Endpoint)
        endpoint = self._read(call.ids[0])
        check_etag(endpoint["name"], body.etag, endpoint["etag"])
        changed = masked_update(endpoint, call.body, call.query.get("updateMask", ""), _MUTABLE)
        changed["trafficSplit"] = check_split(changed.get("trafficSplit", {}), _ids(endpoint))
        changed = self._write(changed)
        self._deployments.route(changed)
        return self._shown(changed)

    def update_long_running(self, call: Call) -> Document:
        """UpdateEndpointLongRunning: what is given replaces what is there, as an operation."""
        given = call.typed(_LongUpdate).endpoint
        with self._store.transaction():
            endpoint = self.update(msgspec.structs.replace(call, body=given, query={}))
            return self._operations.complete(call, "UpdateEndpoint", "Endpoint", endpoint)

    def delete(self, call: Call) -> Document:
        """DeleteEndpoint, unless something is deployed to it."""
        endpoint = self._read(call.ids[0])
        if endpoint["deployedModels"]:
            raise precondition(
                f"{endpoint['name']} has deployed models {', '.join(_ids(endpoint))}: undeploy them first"
            )
        with self._store.transaction():
            self._store.delete(endpoint["name"])
            operation = self._operations.complete(call, "DeleteEndpoint", "", {})
        self._deployments.unroute(call.ids[0])
        return operation

    # --- deployed models -------------------------------------------------------------------------------

    def deploy_model(self, call: Call) -> Document:
        """DeployModel: an operation that ends when the servers are healthy."""
        endpoint = self._read(call.ids[0])
        request = call.typed(_Deploy)
        asked = call.typed(_DeployedModel, request.deployed_model)
        model, version = self._models.read(self._location.last_id(asked.model, "models"))
        entry = {
            **request.deployed_model,
            "id": asked.id or new_id(),
            "model": model["name"],
            "modelVersionId": version["versionId"],
            "displayName": asked.display_name or model["displayName"],
            "createTime": timestamp(),
        }
        if entry["id"] in _ids(endpoint):
            raise already_exists(f"deployed model {entry['id']} of {endpoint['name']}")
        split_after_deploy(endpoint["trafficSplit"], request.traffic_split, entry["id"], _ids(endpoint))
        operation = self._operations.begin(call, "DeployModel")
        work = self._deploy(call, operation["name"], entry, request.traffic_split)
        self._operations.run(operation["name"], work)
        return answer(operation)

    async def _deploy(self, call: Call, operation: str, entry: Document, split: Split) -> None:
        deployment = await self._deployments.prepare(entry, *self._models.read(_model_id(entry)))
        await self._deployments.start(deployment)
        try:
            # The world may have moved while the servers started: everything is checked again.
            endpoint = self._read(call.ids[0])
            self._models.read(_model_id(entry))
            shares = split_after_deploy(endpoint["trafficSplit"], split, entry["id"], _ids(endpoint))
            with self._store.transaction():
                endpoint = self._write(
                    {
                        **endpoint,
                        "deployedModels": [*endpoint["deployedModels"], entry],
                        "trafficSplit": shares,
                    }
                )
                response = {"deployedModel": entry}
                self._operations.commit(operation, call.version, "DeployModelResponse", response)
        except InterlockError:
            await self._deployments.stop(entry["id"])
            raise
        self._deployments.route(endpoint)

    def mutate_deployed_model(self, call: Call) -> Document:
        """MutateDeployedModel: an operation that ends when as many servers run as are asked for."""
        endpoint = self._read(call.ids[0])
        request = call.typed(_Mutate)
        asked = call.typed(_Mutated, request.deployed_model)
        entry = _entry(endpoint, asked.id)
        changed = masked_update(entry, request.deployed_model, request.update_mask, _MUTABLE_DEPLOYED)
        call.typed(_DeployedModel, changed)
        operation = self._operations.begin(call, "MutateDeployedModel")
        self._operations.run(operation["name"], self._mutate(call, operation["name"], changed))
        return answer(operation)

    async def _mutate(self, call: Call, operation: str, changed: Document) -> None:
        await self._deployments.scale(changed["id"], replica_count(changed))
        endpoint = self._read(call.ids[0])
        _entry(endpoint, changed["id"])
        entries = [changed if entry["id"] == changed["id"] else entry for entry in endpoint["deployedModels"]]
        with self._store.transaction():
            self._write({**endpoint, "deployedModels": entries})
            response = {"deployedModel": changed}
            self._operations.commit(operation, call.version, "MutateDeployedModelResponse", response)

    def undeploy_model(self, call: Call) -> Document:
        """UndeployModel: an operation that ends when the servers have ended."""
        endpoint = self._read(call.ids[0])
        request = call.typed(_Undeploy)
        gone = request.deployed_model_id
        _entry(endpoint, gone)
        shares = split_after_undeploy(endpoint["trafficSplit"], request.traffic_split, gone, _ids(endpoint))
        left = [entry for entry in endpoint["deployedModels"] if entry["id"] != gone]
        with self._store.transaction():
            operation = self._operations.begin(call, "UndeployModel")
            endpoint = self._write({**endpoint, "deployedModels": left, "trafficSplit": shares})
            self._operations.commit(operation["name"], call.version, "UndeployModelResponse", {})
        self._deployments.route(endpoint)
        self._operations.run(operation["name"], self._deployments.stop(gone))
        return answer(operation)


def _is_dedicated(endpoint: Document) -> bool:
    return endpoint.get("dedicatedEndpointEnabled") is True


def _ids(endpoint: Document) -> list[str]:
    return [entry["id"] for entry in endpoint["deployedModels"]]


def _entry(endpoint: Document, identifier: str) -> Document:
    for entry in endpoint["deployedModels"]:
        if entry["id"] == identifier:
            return dict(entry)
    raise not_found(f"deployed model {identifier} of {endpoint['name']}")


def _model_id(entry: Document) -> str:
    return f"{entry['model'].rpartition('/')[2]}@{entry['modelVersionId']}"
