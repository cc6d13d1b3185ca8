"""ModelService: models and their versions (https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models)."""

from __future__ import annotations

from typing import Any

import msgspec

from interlock.emulator.call import Call
from interlock.emulator.listing import page
from interlock.emulator.masks import masked_update
from interlock.emulator.names import Location, check_id, new_id, timestamp
from interlock.emulator.operations import Operations
from interlock.emulator.rpc import Document, already_exists, check_etag, invalid, not_found, precondition
from interlock.emulator.store import Store
from interlock.emulator.versions import (
    add_version,
    drop_version,
    find_version,
    merge_aliases,
    render,
    split_version,
    touched,
)

KIND = "model"
_MODEL_MUTABLE = ("displayName", "description", "labels")
_VERSION_MUTABLE = ("versionDescription", "labels")


class EnvironmentVariable(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``EnvVar``."""

    name: str
    value: str = ""


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a deployment starts."""

    image_uri: str
    command: list[str] = []
    args: list[str] = []
    env: list[EnvironmentVariable] = []
    predict_route: str = ""
    health_route: str = ""
    deployment_timeout: str = ""


class ModelBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``Model``, as far as it is acted on."""

    display_name: str = ""
    description: str = ""
    labels: dict[str, str] = {}
    version_aliases: list[str] = []
    version_description: str = ""
    version_id: str = ""
    artifact_uri: str = ""
    container_spec: ContainerSpec | None = None
    etag: str = ""


class _Upload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    model: dict[str, Any]
    parent_model: str = ""
    model_id: str = ""


class _Copy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    source_model: str
    model_id: str = ""
    parent_model: str = ""


class _Merge(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    version_aliases: list[str] = []


class Models:
    """Models in the store."""

    def __init__(self, store: Store, location: Location, operations: Operations) -> None:
        self._store = store
        self._location = location
        self._operations = operations

    def read(self, identifier: str) -> tuple[Document, Document]:
        """Stored model and version of ``X``, ``X@version`` or ``X@alias``."""
        model_id, version = split_version(identifier)
        model = self._store.get(self._location.name("models", model_id))
        if model is None:
            raise not_found(self._location.name("models", model_id))
        return model, find_version(model, version)

    def upload(self, call: Call) -> Document:
        """UploadModel: a new model, or a new version of ``parentModel``."""
        request = call.typed(_Upload)
        body = call.typed(ModelBody, request.model)
        parent = request.parent_model
        model = self._parent(parent) if parent else self._new(request.model_id, body)
        grown = add_version(model, _without_output(request.model, first=not parent), body.version_aliases)
        with self._store.transaction():
            self._store.put(KIND, grown)
            response = {"model": model["name"], "modelVersionId": str(model["_next"])}
            return self._operations.complete(call, "UploadModel", "UploadModelResponse", response)

    def copy(self, call: Call) -> Document:
        """CopyModel: one version, the default or the one named, as a new model or as a version of ``parentModel``."""
        request = call.typed(_Copy)
        if request.model_id and request.parent_model:
            raise invalid("modelId and parentModel are both given: a copy is a new model or a new version")
        source, version = self.read(self._location.last_id(request.source_model, "models"))
        shown = {**source, **version}
        body = msgspec.convert({key: value for key, value in shown.items() if key != "etag"}, ModelBody)
        parent = request.parent_model
        model = self._parent(parent) if parent else self._new(request.model_id, body)
        kept = {key: value for key, value in version.items() if key not in ("versionAliases", "modelSourceInfo")}
        copied = {**_without_output(kept, first=False), "modelSourceInfo": {"sourceType": "CUSTOM", "copy": True}}
        grown = add_version(model, copied, [])
        with self._store.transaction():
            self._store.put(KIND, grown)
            response = {"model": model["name"], "modelVersionId": str(model["_next"])}
            return self._operations.complete(call, "CopyModel", "CopyModelResponse", response)

    def list_checkpoints(self, call: Call) -> Document:
        """ListModelVersionCheckpoints: only tuned generative models have any, and none is here."""
        self.read(call.ids[0])
        return {"checkpoints": []}

    def _parent(self, name: str) -> Document:
        return self.read(split_version(self._location.last_id(name, "models"))[0])[0]

    def _new(self, model_id: str, body: ModelBody) -> Document:
        if not body.display_name:
            raise invalid("model.displayName is required")
        if model_id:
            check_id("modelId", model_id)
        name = self._location.name("models", model_id or new_id())
        if self._store.get(name) is not None:
            raise already_exists(name)
        now = timestamp()
        return {
            "name": name,
            "displayName": body.display_name,
            "description": body.description,
            "labels": body.labels,
            "createTime": now,
            "updateTime": now,
            "_revision": 1,
            "_next": 1,
            "_versions": {},
        }

    def get(self, call: Call) -> Document:
        """GetModel by id, version or alias."""
        return self._answer(*self.read(call.ids[0]))

    def list_models(self, call: Call) -> Document:
        """ListModels: the default version of each."""
        models = [self._answer(model, find_version(model, "")) for model in self._store.all(KIND)]
        return page(models, call.query, "models")

    def list_versions(self, call: Call) -> Document:
        """ListModelVersions, newest first."""
        model, _ = self.read(split_version(call.ids[0])[0])
        versions = [self._answer(model, version) for version in reversed(model["_versions"].values())]
        return page(versions, call.query, "models")

    def update(self, call: Call) -> Document:
        """UpdateModel: of one version if the name carries it, else of the model.

        Assumption: a mask with versionDescription means the version in the body's versionId; that is how the
        client's ``update_version`` says it, with a bare name.
        """
        body = call.typed(ModelBody)
        mask = call.query.get("updateMask", "")
        model_id, wanted = split_version(call.ids[0])
        if not wanted and "versionDescription" in mask.split(","):
            wanted = body.version_id
        model, version = self.read(f"{model_id}@{wanted}" if wanted else model_id)
        _check_part(model, body.etag, render(model, version)["etag"], part=1 if wanted else 0)
        if wanted:
            changed = touched(masked_update(version, call.body, mask, _VERSION_MUTABLE))
            model = {**model, "_versions": {**model["_versions"], changed["versionId"]: changed}}
        else:
            model = masked_update(model, call.body, mask, _MODEL_MUTABLE)
            model |= {"updateTime": timestamp(), "_revision": model["_revision"] + 1}
        self._store.put(KIND, model)
        return self._answer(model, find_version(model, version["versionId"]))

    def merge_version_aliases(self, call: Call) -> Document:
        """MergeVersionAliases: adding moves an alias, ``-alias`` removes it."""
        model, version = self.read(call.ids[0])
        changes = call.typed(_Merge).version_aliases
        if not changes:
            raise invalid("versionAliases is empty: give aliases to add, or -alias to remove")
        merged = self._store.put(KIND, merge_aliases(model, version["versionId"], changes))
        return self._answer(merged, find_version(merged, version["versionId"]))

    def delete_version(self, call: Call) -> Document:
        """DeleteModelVersion, unless it is deployed, the default or the only one."""
        model, version = self.read(call.ids[0])
        self._refuse_deployed(model["name"], version["versionId"])
        with self._store.transaction():
            self._store.put(KIND, drop_version(model, version["versionId"]))
            for evaluation in self._store.all("evaluation", model["name"]):
                if evaluation["_version"] == version["versionId"]:
                    self._store.delete(evaluation["name"])
            return self._operations.complete(call, "DeleteModelVersion", "", {})

    def delete(self, call: Call) -> Document:
        """DeleteModel with all versions and evaluations, unless one is deployed."""
        model, _ = self.read(split_version(call.ids[0])[0])
        self._refuse_deployed(model["name"])
        with self._store.transaction():
            self._store.delete(model["name"])
            return self._operations.complete(call, "DeleteModel", "", {})

    def _refuse_deployed(self, name: str, version: str = "") -> None:
        for endpoint, deployed in self._deployments(name):
            if not version or deployed["modelVersionId"] == version:
                where = f"{name}@{deployed['modelVersionId']} is deployed as {deployed['id']} to {endpoint}"
                raise precondition(f"{where}: undeploy it first")

    def _deployments(self, name: str) -> list[tuple[str, Document]]:
        endpoints = self._store.all("endpoint")
        pairs = [(endpoint["name"], deployed) for endpoint in endpoints for deployed in endpoint["deployedModels"]]
        return [(endpoint, deployed) for endpoint, deployed in pairs if deployed["model"] == name]

    def _answer(self, model: Document, version: Document) -> Document:
        deployed = [
            {"endpoint": endpoint, "deployedModelId": entry["id"]}
            for endpoint, entry in self._deployments(model["name"])
            if entry["modelVersionId"] == version["versionId"]
        ]
        return {**render(model, version), **({"deployedModels": deployed} if deployed else {})}


def _check_part(model: Document, sent: str, current: str, part: int) -> None:
    """Compare the model's or the version's part of an etag."""
    parts = sent.split("-")
    stale = sent if len(parts) != 2 else parts[part]
    if sent and stale != current.split("-")[part]:
        check_etag(model["name"], sent, current)


def _without_output(model: Document, first: bool) -> Document:
    """The uploaded fields that are kept. Labels of the first upload belong to the model."""
    dropped = {
        "createTime",
        "updateTime",
        "versionId",
        "versionCreateTime",
        "versionUpdateTime",
        "deployedModels",
    }
    if first:
        dropped.add("labels")
    return {key: value for key, value in model.items() if key not in dropped and not key.startswith("_")}
