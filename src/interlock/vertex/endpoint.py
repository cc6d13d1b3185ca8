"""One Vertex AI endpoint: what stands on it, and how traffic is split.

Every change of traffic is a compare-and-set on the endpoint's etag.
https://cloud.google.com/vertex-ai/docs/predictions/deploy-model-api
"""

from __future__ import annotations

from typing import Any

from interlock.config import Serving
from interlock.contracts import ModelVersion, Place
from interlock.errors import ConcurrentChange, EndpointError
from interlock.rollout.ports import EndpointState
from interlock.vertex.client import finished, parent, service

DEPLOY_SECONDS = 1800


class VertexEndpoint:
    """The endpoint ``name`` in ``place``; implements :class:`interlock.rollout.ports.Endpoint`."""

    def __init__(self, place: Place, name: str) -> None:
        self._place = place
        self.name = name
        self.resource = f"{parent(place)}/endpoints/{name}"

    def ensure(self) -> None:
        """Create the endpoint, with every request and answer logged, unless it exists."""
        from google.api_core.exceptions import Conflict, NotFound
        from google.cloud import aiplatform_v1 as v1

        try:
            self._get()
            return
        except NotFound:
            pass
        logging = v1.PredictRequestResponseLoggingConfig(
            enabled=True,
            sampling_rate=1.0,
            bigquery_destination=v1.BigQueryDestination(
                output_uri=f"bq://{self._place.project}.interlock.request_response_log"
            ),
        )
        endpoint = v1.Endpoint(display_name=self.name, predict_request_response_logging_config=logging)
        client = service(self._place, "Endpoint")
        try:
            client.create_endpoint(parent=parent(self._place), endpoint=endpoint, endpoint_id=self.name).result(
                timeout=DEPLOY_SECONDS
            )
        except Conflict:
            self._get()  # somebody else made it first

    def read(self) -> EndpointState:
        """Traffic in percent by deployed model id (0 % included), and version by id."""
        endpoint = self._get()
        versions = {deployed.id: deployed.model_version_id for deployed in endpoint.deployed_models}
        split = dict(endpoint.traffic_split)
        return EndpointState(
            etag=endpoint.etag, traffic={id_: int(split.get(id_, 0)) for id_ in versions}, versions=versions
        )

    def find(self) -> EndpointState | None:
        """The endpoint as it is, None if it does not exist."""
        from google.api_core.exceptions import NotFound

        try:
            return self.read()
        except NotFound:
            return None

    def set_traffic(self, traffic: dict[str, int], etag: str) -> None:
        """Set the whole split; :class:`ConcurrentChange` if the endpoint changed since ``etag`` was read."""
        from google.api_core.exceptions import Aborted, Conflict, GoogleAPICallError
        from google.cloud import aiplatform_v1 as v1

        endpoint = v1.Endpoint(name=self.resource, etag=etag, traffic_split=traffic)
        try:
            service(self._place, "Endpoint").update_endpoint(
                endpoint=endpoint, update_mask={"paths": ["traffic_split"]}
            )
        except (Aborted, Conflict) as error:
            raise ConcurrentChange(f"endpoint {self.name} changed since etag {etag}: read it again") from error
        except GoogleAPICallError as error:
            raise EndpointError(f"endpoint {self.name}: traffic {traffic} refused: {error.message}") from error

    def deploy(self, version: ModelVersion, serving: Serving, *, percent: int = 0) -> str:
        """Deploy ``version``; returns its deployed model id. ``percent`` is 0, or 100 on an empty endpoint.

        An empty split in the request leaves the endpoint's traffic as it is: the new model gets none.
        """
        from google.api_core.exceptions import GoogleAPICallError
        from google.cloud import aiplatform_v1 as v1

        deployed = v1.DeployedModel(
            model=version.resource,
            display_name=f"{self.name}-{version.version}",
            dedicated_resources=v1.DedicatedResources(
                machine_spec=v1.MachineSpec(machine_type=serving.machine_type),
                min_replica_count=serving.replicas,
                max_replica_count=serving.replicas,
            ),
        )
        try:
            operation = service(self._place, "Endpoint").deploy_model(
                endpoint=self.resource,
                deployed_model=deployed,
                traffic_split={"0": percent} if percent else {},
            )
            answer = finished(operation, seconds=DEPLOY_SECONDS)
        except GoogleAPICallError as error:
            raise EndpointError(
                f"version {version.version} cannot be deployed on {self.name}: {error.message}"
            ) from error
        return str(answer.deployed_model.id)

    def undeploy(self, deployed_id: str) -> None:
        """Take a deployed model off. Refused by the service while it has traffic; nothing happens if it is gone."""
        from google.api_core.exceptions import GoogleAPICallError, NotFound

        if deployed_id not in self.read().versions:
            return
        client = service(self._place, "Endpoint")
        try:
            operation = client.undeploy_model(endpoint=self.resource, deployed_model_id=deployed_id)
            finished(operation, seconds=DEPLOY_SECONDS)
        except NotFound:
            return
        except GoogleAPICallError as error:
            raise EndpointError(f"{deployed_id} cannot be undeployed from {self.name}: {error.message}") from error

    def predict(self, instances: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Predictions for ``instances``, one request."""
        from google.api_core.exceptions import GoogleAPICallError
        from google.protobuf import json_format, struct_pb2

        values = [json_format.ParseDict(instance, struct_pb2.Value()) for instance in instances]
        try:
            answer = service(self._place, "Prediction").predict(endpoint=self.resource, instances=values, timeout=60)
        except GoogleAPICallError as error:
            raise EndpointError(f"endpoint {self.name} refused a prediction: {error.message}") from error
        return [dict(prediction) for prediction in answer.predictions]

    def delete(self) -> None:
        """Undeploy everything and remove the endpoint; nothing happens if it does not exist."""
        from google.api_core.exceptions import NotFound

        client = service(self._place, "Endpoint")
        try:
            state = self.read()
        except NotFound:
            return
        for deployed_id in state.versions:
            operation = client.undeploy_model(endpoint=self.resource, deployed_model_id=deployed_id, traffic_split={})
            finished(operation, seconds=DEPLOY_SECONDS)
        finished(client.delete_endpoint(name=self.resource), seconds=DEPLOY_SECONDS)

    def _get(self) -> Any:
        return service(self._place, "Endpoint").get_endpoint(name=self.resource)


def endpoint_names(place: Place) -> list[str]:
    """Ids of all endpoints in ``place``, those for probing and shadows left out."""
    found = service(place, "Endpoint").list_endpoints(parent=parent(place))
    names = sorted(endpoint.name.rpartition("/")[2] for endpoint in found)
    return [name for name in names if not name.endswith(("-probe", "-shadow"))]
