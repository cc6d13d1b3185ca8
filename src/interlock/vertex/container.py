"""Versions that are a container and no files: what a rehearsal deploys."""

from __future__ import annotations

from collections.abc import Mapping

from interlock.contracts import ModelVersion, Place
from interlock.errors import RegistryError
from interlock.vertex.client import finished, parent, service
from interlock.vertex.registry import HEALTH_ROUTE, PREDICT_ROUTE, VertexModelRegistry

UPLOAD_SECONDS = 60


def upload_container(place: Place, name: str, image: str, variables: Mapping[str, str]) -> ModelVersion:
    """A new version of model ``name`` that runs ``image`` with ``variables``; the model is made if it is missing."""
    from google.cloud import aiplatform_v1 as v1

    registry, resource = VertexModelRegistry(place, name), f"{parent(place)}/models/{name}"
    model = v1.Model(
        display_name=name,
        container_spec=v1.ModelContainerSpec(
            image_uri=image,
            predict_route=PREDICT_ROUTE,
            health_route=HEALTH_ROUTE,
            env=[v1.EnvVar(name=key, value=value) for key, value in variables.items()],
        ),
    )
    where = {"parent_model": resource} if registry.versions() else {"model_id": name}
    request = v1.UploadModelRequest(parent=parent(place), model=model, **where)
    answer = finished(service(place, "Model").upload_model(request), seconds=UPLOAD_SECONDS)
    found = registry.find(answer.model_version_id)
    if found is None:
        raise RegistryError(f"version {answer.model_version_id} of {name} was uploaded and is not there")
    return found
