"""Where a version comes from: digests, code, libraries, parameters, config."""

from __future__ import annotations

from interlock.report import wording
from interlock.report.markup import Content, Html, code, details, element, facts, join, table
from interlock.report.run import VersionReport

NOT_RECORDED = "not recorded"


def provenance(version: VersionReport) -> Html:
    """Enough to train it again, and to prove that it is the same."""
    manifest = version.manifest
    digests = {
        "Model": manifest.model_sha256,
        "Signature": manifest.signature_sha256,
        "Features": manifest.features_sha256,
        "Table": manifest.table_sha256,
        "Data schema": version.verdict.schema_sha256,
        "Test rows": version.evaluation.test_sha256,
        "Config": manifest.config_sha256,
        "Lock file": manifest.lock_sha256,
        "Git revision": manifest.git_revision,
        "Image": manifest.image,
    }
    pairs: list[tuple[str, Content]] = [(k, code(v) if v else NOT_RECORDED) for k, v in digests.items()]
    pairs.append(("Seed", str(manifest.seed)))
    pairs.append(("Format", f"{manifest.format}, {wording.megabytes(version.evaluation.size_bytes)}"))
    if manifest.export_refused:
        pairs.append(("Not ONNX because", manifest.export_refused))
    pairs.append(("Exported against trained model, largest difference", f"{manifest.parity_max_difference:.2g}"))
    parts = [facts(pairs)]
    if manifest.parameters:
        given = [(name, code(str(value))) for name, value in sorted(manifest.parameters.items())]
        parts.append(details("Parameters of the estimator", table("Parameters", ("Parameter", "Value"), given)))
    libraries = table("Libraries", ("Library", "Version"), sorted(manifest.libraries.items()))
    parts += [details("Libraries", libraries), details("Config", element("pre", manifest.config, tabindex="0"))]
    return join(parts)
