"""Stage 7: registry."""

from interlock.components.images import ML
from kfp import dsl
from kfp.dsl import Artifact, Input, Model, Output


@dsl.component(base_image=ML, install_kfp_package=False)
def register_model(
    verdict: Input[Artifact],
    candidate: Input[Model],
    evaluation: Input[Artifact],
    report: Input[Artifact],
    version: Output[Artifact],
    config: str,
    place: str,
    serving_image: str,
) -> str:
    """Make the candidate a version of the model, with everything that proves it, alias ``staging``.

    Reads: ``candidate``, ``verdict``, ``evaluation``, ``report``.
    Writes: ``version`` (model-version/v1). Returns the version number.
    Fails when: a gate is closed, the files are about different models, or the signing key cannot be read.
    """
    from pathlib import Path

    from interlock.config import parse_config
    from interlock.contracts import (
        DataVerdict,
        Evaluation,
        GateReport,
        Manifest,
        parse_place,
        read_contract,
        write_contract,
    )
    from interlock.registry.register import register_model as register
    from interlock.vertex.keys import read_signing_key
    from interlock.vertex.registry import VertexModelRegistry

    where, parsed = parse_place(place), parse_config(config)
    registered = register(
        VertexModelRegistry(where, parsed.name),
        manifest=read_contract(Path(candidate.path) / "manifest.json", Manifest),
        verdict=read_contract(Path(verdict.path), DataVerdict),
        evaluation=read_contract(Path(evaluation.path), Evaluation),
        report=read_contract(Path(report.path), GateReport),
        folder=Path(candidate.path),
        image=serving_image,
        signing_key=read_signing_key(where, parsed.signing.private_key),
        public_keys=parsed.signing.public_keys,
    )
    write_contract(registered, Path(version.path))
    version.metadata.update(resourceName=registered.resource)
    return registered.version
