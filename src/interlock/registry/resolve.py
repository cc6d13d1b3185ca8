"""The deployment pipeline's first question: may this version go on?"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from interlock.contracts import DataVerdict, Evaluation, GateReport, Manifest, ModelVersion, read_contract
from interlock.errors import ContractError, RegistryError
from interlock.registry.aliases import PRODUCTION
from interlock.registry.port import ModelRegistry
from interlock.registry.quarantine import is_quarantined
from interlock.registry.register import require_passed
from interlock.registry.signature import verify_folder
from interlock.serving.engines import MODEL_FILES


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """The version that wants to go on, and the one that stands there now (None: first deployment)."""

    candidate: ModelVersion
    champion: ModelVersion | None
    manifest: Manifest


def resolve_candidate(
    registry: ModelRegistry, *, alias: str, folder: Path, must_have_signed: Sequence[str] = ()
) -> Resolved:
    """Find the version with ``alias`` and check what it carries: files, digest, gates, quarantine, champion.

    ``must_have_signed``: public keys (PEM), one of which must have signed all of its files; none asks for nothing.
    """
    candidate = registry.find(alias)
    if candidate is None:
        raise RegistryError(f"no version has alias {alias}: run the training pipeline first, or its gates closed")
    if is_quarantined(candidate):
        raise RegistryError(
            f"version {candidate.version} is quarantined, it was rolled back before: train a new one, "
            f"or lift it with `interlock rollback --lift {candidate.version}`"
        )
    registry.fetch(candidate, folder)
    if must_have_signed:
        verify_folder(folder, must_have_signed, f"version {candidate.version}")
    manifest = read_contract(folder / "manifest.json", Manifest)
    model = MODEL_FILES[manifest.format]
    actual = hashlib.sha256((folder / model).read_bytes()).hexdigest()
    if actual != manifest.model_sha256:
        raise ContractError(
            f"version {candidate.version}: {model} is {actual[:12]}, its manifest says "
            f"{manifest.model_sha256[:12]}: the file changed after registration; register it again"
        )
    report = read_contract(folder / "gate_report.json", GateReport)
    evaluation = read_contract(folder / "evaluation.json", Evaluation)
    require_passed(manifest, read_contract(folder / "data_verdict.json", DataVerdict), evaluation, report)
    champion = registry.find(PRODUCTION)
    _same_champion(candidate, report, champion)
    if champion is not None and champion.version == candidate.version:
        raise RegistryError(f"version {candidate.version} is in production already: nothing to deploy")
    return Resolved(candidate=candidate, champion=champion, manifest=manifest)


def _same_champion(candidate: ModelVersion, report: GateReport, champion: ModelVersion | None) -> None:
    """Gates compared the candidate with one champion; if production moved on, that comparison says nothing."""
    now = champion.version if champion else ""
    if report.champion != now:
        raise RegistryError(
            f"version {candidate.version} passed its gates against {report.champion or 'no champion'}, "
            f"production is now {now or 'empty'}: run the training pipeline again"
        )
