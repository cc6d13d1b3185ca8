"""A candidate reaches the endpoint: probed on an endpoint of its own, then deployed beside the champion at 0 %.

Vertex AI can send a request to an endpoint, not to one deployed model. So a candidate is probed where nobody
else asks: on ``<name>-probe``, with rows whose answers are known from training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import msgspec

from interlock.config import Serving
from interlock.contracts import ModelVersion
from interlock.errors import ContractError, GateFailed
from interlock.rollout.ports import Endpoint

PROBE_TOLERANCE = 1e-5


class Probe(msgspec.Struct, frozen=True):
    """``probe.json`` of a candidate: rows, and what each must get: the probability of class 1, of every class by its
    name, or a value.
    """

    instances: list[dict[str, Any]]
    probabilities: list[float | dict[str, float]] = []
    values: list[float] = []

    @property
    def expected(self) -> list[float | dict[str, float]]:
        """One per row."""
        return [*self.probabilities, *self.values]


class DeployableEndpoint(Endpoint, Protocol):
    """An endpoint on which models can be deployed and asked."""

    def ensure(self) -> None:
        """Create it unless it exists."""
        ...

    def deploy(self, version: ModelVersion, serving: Serving, *, percent: int = 0) -> str:
        """Deploy and return the deployed model id."""
        ...

    def predict(self, instances: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One request."""
        ...

    def delete(self) -> None:
        """Undeploy everything and remove it."""
        ...


def read_probe(path: Path) -> Probe:
    """The probe rows of a candidate's folder."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Probe)
    except (OSError, msgspec.MsgspecError) as error:
        raise ContractError(f"{path.name}: {error}; the candidate cannot be probed, register it again") from error


def deploy_candidate(
    endpoint: DeployableEndpoint,
    probing: DeployableEndpoint,
    version: ModelVersion,
    *,
    serving: Serving,
    probe: Probe,
) -> str:
    """Probe ``version``, then deploy it at 0 %; returns its deployed model id. Repeating it deploys nothing twice."""
    endpoint.ensure()
    there = deployed_as(endpoint, version.version)
    if there:
        return there
    probing.delete()  # what an earlier run may have left
    probing.ensure()
    try:
        probing.deploy(version, serving, percent=100)
        require_answers(version.version, probe, probing.predict(probe.instances))
    finally:
        probing.delete()
    return endpoint.deploy(version, serving)


def deployed_as(endpoint: Endpoint, version: str) -> str:
    """The deployed model id of ``version``, '' if it is not on the endpoint."""
    return next((id_ for id_, there in endpoint.read().versions.items() if there == version), "")


def require_answers(version: str, probe: Probe, predictions: list[dict[str, Any]]) -> None:
    """:class:`GateFailed` unless every answer is what training said, to 1e-5; a value to 1e-5 of its size."""
    if not len(predictions) == len(probe.expected) == len(probe.instances):
        raise GateFailed(
            f"probe: version {version} gave {len(predictions)} answers to {len(probe.instances)} rows with "
            f"{len(probe.expected)} known answers: not deployed"
        )
    gaps = [_gap(answer, expected) for answer, expected in zip(predictions, probe.expected, strict=True)]
    if probe.values:
        size = sum(map(abs, probe.values)) / len(probe.values)
        gaps = [gap / (max(abs(value), size) or 1.0) for gap, value in zip(gaps, probe.values, strict=True)]
    bad = [gap for gap in gaps if not gap <= PROBE_TOLERANCE]
    if bad:
        raise GateFailed(
            f"probe: {len(bad)} of {len(gaps)} answers of version {version} differ from training by up to "
            f"{max(bad):.2g} > {PROBE_TOLERANCE:g}: not deployed; the served model is not the trained one"
        )


def _gap(answer: dict[str, Any], expected: float | dict[str, float]) -> float:
    if isinstance(expected, dict):
        given = answer.get("probabilities", {})
        return max(abs(float(given.get(name, "inf")) - p) for name, p in expected.items())
    return abs(float(answer.get("value" if "value" in answer else "probability", "nan")) - expected)
