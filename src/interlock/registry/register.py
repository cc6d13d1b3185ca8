"""Stage 7, registry: only a candidate that passed every gate becomes a version with alias ``staging``.

::

    upload (no alias) -> evaluation and slices attached -> alias staging

The alias comes last: whoever finds ``staging`` finds everything that belongs to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from interlock.contracts import DataVerdict, Evaluation, GateReport, Manifest, ModelVersion, write_contract
from interlock.errors import ContractError, GateFailed
from interlock.registry.aliases import STAGING
from interlock.registry.evaluation import evaluation_payload, slice_payloads
from interlock.registry.port import ModelRegistry
from interlock.registry.signature import sign_folder


def register_model(
    registry: ModelRegistry,
    *,
    manifest: Manifest,
    verdict: DataVerdict,
    evaluation: Evaluation,
    report: GateReport,
    folder: Path,
    image: str,
    signing_key: bytes | None = None,
    public_keys: Sequence[str] = (),
) -> ModelVersion:
    """Register the candidate in ``folder``. :class:`GateFailed` names the first rule that closed a gate.

    With a ``signing_key`` (PEM) its files are signed; one of ``public_keys``, if there are any, must be the key's.
    """
    require_passed(manifest, verdict, evaluation, report)
    write_contract(verdict, folder / "data_verdict.json")
    write_contract(evaluation, folder / "evaluation.json")
    write_contract(report, folder / "gate_report.json")
    if signing_key is not None:
        sign_folder(folder, signing_key, public_keys)
    description = f"{' to '.join(manifest.window) or 'all rows'}, {sum(manifest.rows.values())} rows"
    labels = {"interlock-model": manifest.model_sha256[:12], "interlock-data": manifest.table_sha256[:12]}
    version = registry.upload(folder, image=image, digest=manifest.model_sha256, description=description, labels=labels)
    registry.attach_evaluation(version, evaluation_payload(evaluation, report), slice_payloads(evaluation))
    registry.set_alias(version.version, STAGING)
    return registry.find(version.version) or version


def require_passed(manifest: Manifest, verdict: DataVerdict, evaluation: Evaluation, report: GateReport) -> None:
    """All four files are about one model, and every gate is open."""
    digests = {manifest.model_sha256, evaluation.model_sha256, report.model_sha256}
    if len(digests) > 1 or verdict.table_sha256 != manifest.table_sha256:
        short = ", ".join(sorted(digest[:12] for digest in digests))
        raise ContractError(
            f"manifest, evaluation and gate report are about different models ({short}): run the stages again"
        )
    closed = [rule for rule in report.rules if rule.verdict != "pass" and rule.blocking]
    if closed or not report.passed or not verdict.passed or not report.rules:
        first = closed[0] if closed else None
        what = (
            f"{first.gate} gate: {first.slice + ' ' if first.slice else ''}{first.reason}" if first else "no rule ran"
        )
        raise GateFailed(
            f"{what} ({manifest.name}, closed rules: {len(closed)}): not registered; see gate_report.json, which the "
            "console shows on the page of the run"
        )
