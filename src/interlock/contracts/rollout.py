"""What the registry, deployment and rollouts hand on."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from interlock.contracts.file import Contract
from interlock.errors import ContractError


class ModelVersion(Contract, frozen=True, kw_only=True, tag="model-version/v1"):
    """A version in the registry. ``name`` is the resource name without version."""

    name: str
    version: str
    aliases: list[str]
    artifact_uri: str
    description: str = ""
    model_sha256: str = ""
    create_time: str = ""

    @property
    def resource(self) -> str:
        """``projects/…/models/…@version``."""
        return f"{self.name}@{self.version}"


class VerdictKind(StrEnum):
    """What the evidence says. Missing data is ``inconclusive``, a broken source is ``error``: never ``healthy``."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


class Verdict(Contract, frozen=True, kw_only=True, tag="verdict/v1"):
    """The evidence on one rollout step. ``reason`` is the inequality that decided, with its numbers."""

    kind: VerdictKind
    metric: str
    reason: str
    requests: int
    candidate_requests: int


class Place(Contract, frozen=True, kw_only=True, tag="place/v1"):
    """Where Vertex AI, object store and warehouse are. On Google Cloud both endpoints are ''.

    ``warehouse`` is a SQLAlchemy URL: serving log, outcomes and rollout journal.
    """

    project: str
    location: str
    bucket: str
    warehouse: str
    api_endpoint: str = ""
    storage_endpoint: str = ""
    service_account: str = ""


def parse_place(text: str) -> Place:
    """Read the ``place`` parameter of a pipeline."""
    try:
        return msgspec.json.decode(text, type=Place)
    except msgspec.MsgspecError as error:
        raise ContractError(
            f"parameter place is not a place/v1: {error}; pass the text `interlock up` wrote"
        ) from error
