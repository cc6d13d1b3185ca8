"""The rules of model versions and their aliases, on the stored document of one model.

``{name, displayName, …, _revision, _next, _versions: {"1": {versionId, versionAliases, …, _revision}}}``.
A version keeps its own artifact, container and labels; display name and description belong to the model.
The etag answered is ``<model revision>-<version revision>``: a new version or a moved alias does not make an
update of the model itself stale. Assumption: the real etag is opaque, its granularity is not documented.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from interlock.emulator.names import timestamp
from interlock.emulator.rpc import Document, invalid, not_found, precondition

DEFAULT = "default"
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]|[a-z]")
_MODEL_FIELDS = ("displayName", "description")


def split_version(identifier: str) -> tuple[str, str]:
    """``X@v`` -> ``X``, ``v``; ``X`` and ``X@-`` -> ``X``, ''."""
    model, _, version = identifier.partition("@")
    return model, "" if version == "-" else version


def find_version(model: Document, wanted: str) -> Document:
    """The version with id or alias ``wanted``, '' for the default one; NOT_FOUND names it."""
    versions = model["_versions"]
    wanted = wanted or DEFAULT
    if wanted in versions:
        return dict(versions[wanted])
    for version in versions.values():
        if wanted in version["versionAliases"]:
            return dict(version)
    raise not_found(f"{model['name']}@{wanted}")


def add_version(model: Document, upload: Document, aliases: Iterable[str]) -> Document:
    """A copy of ``model`` with one more version; the first one is always the default."""
    version_id = str(model["_next"])
    now = timestamp()
    own = {key: value for key, value in upload.items() if key not in (*_MODEL_FIELDS, "name", "etag", "versionAliases")}
    version = {
        **own,
        "versionId": version_id,
        "versionAliases": [],
        "versionCreateTime": now,
        "versionUpdateTime": now,
        "_revision": 1,
    }
    grown = {**model, "_versions": {**model["_versions"], version_id: version}, "_next": model["_next"] + 1}
    first = [DEFAULT] if len(grown["_versions"]) == 1 else []
    return merge_aliases(grown, version_id, [*first, *aliases])


def merge_aliases(model: Document, version_id: str, changes: Iterable[str]) -> Document:
    """A copy of ``model`` after adding ``alias`` and removing ``-alias`` on one version.

    An added alias leaves the version that had it: aliases are unique in a model. ``default`` cannot be
    removed, only given to another version.
    """
    changes = list(dict.fromkeys(changes))
    added = [alias for alias in changes if not alias.startswith("-")]
    removed = [alias[1:] for alias in changes if alias.startswith("-")]
    for alias in added:
        if not _ALIAS.fullmatch(alias):
            raise invalid(f"version alias {alias!r}: give a-z, 0-9 and -, starting with a letter, up to 128")
    if DEFAULT in removed:
        raise invalid(f"{model['name']}: alias 'default' cannot be removed; add it to another version instead")
    versions = {}
    for key, version in model["_versions"].items():
        kept = [alias for alias in version["versionAliases"] if alias not in added]
        if key == version_id:
            kept = [alias for alias in version["versionAliases"] if alias not in removed]
            kept += [alias for alias in added if alias not in kept]
        versions[key] = version if kept == version["versionAliases"] else touched({**version, "versionAliases": kept})
    return {**model, "_versions": versions}


def drop_version(model: Document, version_id: str) -> Document:
    """A copy of ``model`` without one version; neither the only nor the default one."""
    versions = dict(model["_versions"])
    if len(versions) == 1:
        raise precondition(f"{model['name']}@{version_id} is the only version: delete the model instead")
    if DEFAULT in versions.pop(version_id)["versionAliases"]:
        raise precondition(f"{model['name']}@{version_id} is the default version: give 'default' to another first")
    return {**model, "_versions": versions}


def touched(version: Document) -> Document:
    """A copy of ``version`` with a new revision and update time."""
    return {**version, "_revision": version["_revision"] + 1, "versionUpdateTime": timestamp()}


def render(model: Document, version: Document) -> Document:
    """A model as answered for one of its versions. Labels of both are merged, as documented."""
    own = {key: value for key, value in version.items() if not key.startswith("_")}
    shared = {key: value for key, value in model.items() if not key.startswith("_") and key != "etag"}
    # Assumption: a model without a container cannot be deployed, so it names no resource type.
    types = ["DEDICATED_RESOURCES"] if version.get("containerSpec") else []
    return {
        **shared,
        **own,
        "labels": {**model.get("labels", {}), **version.get("labels", {})},
        "supportedDeploymentResourcesTypes": types,
        "updateTime": max(model["updateTime"], version["versionUpdateTime"]),
        "etag": f"{model['_revision']}-{version['_revision']}",
    }
