"""One model in the Vertex AI Model Registry, as ``interlock.registry`` wants it.

https://cloud.google.com/vertex-ai/docs/model-registry/versioning
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interlock.contracts import ModelVersion, Place
from interlock.errors import RegistryError
from interlock.registry.quarantine import quarantine
from interlock.serving.engines import MODEL_FILES
from interlock.serving.offline import decide
from interlock.vertex.artifacts import download_folder, upload_folder
from interlock.vertex.client import parent, sdk, service

PREDICT_ROUTE, HEALTH_ROUTE, PORT = "/predict", "/health", 8080


class VertexModelRegistry:
    """The versions of model ``name`` in ``place``; implements :class:`interlock.registry.port.ModelRegistry`."""

    def __init__(self, place: Place, name: str, *, allow_pickle: bool = False) -> None:
        """``allow_pickle``: :meth:`labels` may load a version that ships as one."""
        self._place = place
        self._name = name
        self._resource = f"{parent(place)}/models/{name}"
        self._allow_pickle = allow_pickle

    def upload(
        self, folder: Path, *, image: str, digest: str, description: str, labels: dict[str, str]
    ) -> ModelVersion:
        uri = upload_folder(self._place, folder, f"models/{self._name}/{digest}")
        exists = self.find("default") is not None
        model = sdk(self._place).Model.upload(
            display_name=self._name,
            model_id=None if exists else self._name,
            parent_model=self._resource if exists else None,
            is_default_version=not exists,
            artifact_uri=uri,
            version_description=description,
            labels=labels,
            serving_container_image_uri=image,
            serving_container_predict_route=PREDICT_ROUTE,
            serving_container_health_route=HEALTH_ROUTE,
            serving_container_ports=[PORT],
            serving_container_environment_variables=_environment(folder),
        )
        return _version(model.gca_resource)

    def attach_evaluation(
        self, version: ModelVersion, evaluation: dict[str, Any], slices: list[dict[str, Any]]
    ) -> None:
        from google.cloud import aiplatform_v1 as v1

        client = service(self._place, "Model")
        imported = client.import_model_evaluation(
            parent=version.resource, model_evaluation=v1.ModelEvaluation(**evaluation)
        )
        if not slices:
            return
        client.batch_import_model_evaluation_slices(
            parent=imported.name, model_evaluation_slices=[_slice(one) for one in slices]
        )

    def find(self, alias_or_version: str) -> ModelVersion | None:
        from google.api_core.exceptions import NotFound

        try:
            return _version(service(self._place, "Model").get_model(name=f"{self._resource}@{alias_or_version}"))
        except NotFound:
            return None

    def versions(self) -> list[ModelVersion]:
        from google.api_core.exceptions import NotFound

        try:
            found = [
                _version(model) for model in service(self._place, "Model").list_model_versions(name=self._resource)
            ]
        except NotFound:
            return []
        return sorted(found, key=lambda version: int(version.version))

    def set_alias(self, version: str, alias: str) -> None:
        self._merge(version, [alias])

    def remove_alias(self, version: str, alias: str) -> None:
        found = self.find(version)
        if found is not None and alias in found.aliases:
            self._merge(version, [f"-{alias}"])

    def version_with(self, alias: str) -> str | None:
        """The number of the version with ``alias``: how a rollout asks."""
        found = self.find(alias)
        return found.version if found else None

    def quarantine(self, version: str) -> None:
        """Bar ``version`` from promotion."""
        quarantine(self, version)

    def labels(self, version: str, instances: Sequence[Mapping[str, Any]]) -> list[int]:
        """The decisions of a version's model on these rows, without its endpoint: how a rollout rescores."""
        found = self.find(version)
        if found is None:
            raise RegistryError(f"version {version} of {self._name} is gone: nothing to compare the promoted one with")
        with tempfile.TemporaryDirectory() as folder:
            return decide(self.fetch(found, Path(folder)), instances, allow_pickle=self._allow_pickle)

    def fetch(self, version: ModelVersion, folder: Path) -> Path:
        return download_folder(self._place, version.artifact_uri, folder)

    def _merge(self, version: str, aliases: list[str]) -> None:
        from google.api_core.exceptions import GoogleAPICallError

        name = f"{self._resource}@{version}"
        try:
            service(self._place, "Model").merge_version_aliases(name=name, version_aliases=aliases)
        except GoogleAPICallError as error:
            raise RegistryError(f"aliases {', '.join(aliases)} of {self._name}@{version}: {error.message}") from error


def _environment(folder: Path) -> dict[str, str]:
    """A candidate is a pickle only where the config allowed it, so its server may load it."""
    pickled = (folder / MODEL_FILES["joblib"]).is_file()
    return {"INTERLOCK_ALLOW_PICKLE": "1"} if pickled else {}


def _version(model: Any) -> ModelVersion:
    return ModelVersion(
        name=model.name.partition("@")[0],
        version=model.version_id,
        aliases=sorted(model.version_aliases),
        artifact_uri=model.artifact_uri,
        description=model.version_description,
        model_sha256=model.artifact_uri.rstrip("/").rpartition("/")[2],
        create_time=model.version_create_time.isoformat() if model.version_create_time else "",
    )


def _slice(payload: dict[str, Any]) -> Any:
    from google.cloud import aiplatform_v1 as v1

    spec = v1.ModelEvaluationSlice.Slice.SliceSpec
    value = spec.Value(string_value=payload["value"])
    configs = {payload["feature"]: spec.SliceConfig(value=value)}
    return v1.ModelEvaluationSlice(
        slice_=v1.ModelEvaluationSlice.Slice(dimension="slice", slice_spec=spec(configs=configs)),
        metrics_schema_uri=payload["metrics_schema_uri"],
        metrics=payload["metrics"],
    )
