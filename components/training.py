"""Stage 4: training."""

from interlock.components.images import ML
from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output


@dsl.component(base_image=ML, install_kfp_package=False)
def train_model(
    features: Input[Dataset],
    candidate: Output[Model],
    config: str,
    start: str,
    end: str,
    git_revision: str,
    lock_sha256: str,
    image: str,
):
    """Fit, choose the threshold where the task has one, export to ONNX and prove the export equal.

    Reads: ``features``.
    Writes: ``candidate``, a folder the model server can serve.
    Fails when: the model cannot be exported, or the exported one differs from the trained one, and the config does
    not let it ship as a pickle.
    """
    from pathlib import Path

    from interlock.config import parse_config
    from interlock.contracts import Features, read_contract
    from interlock.training.train import Provenance
    from interlock.training.train import train_model as train

    manifest = train(
        parse_config(config),
        features=read_contract(Path(features.path) / "features.json", Features),
        source=Path(features.path),
        folder=Path(candidate.path),
        provenance=Provenance(
            config=config, window=[start, end], git_revision=git_revision, image=image, lock_sha256=lock_sha256
        ),
    )
    candidate.metadata.update(framework=manifest.format, model_sha256=manifest.model_sha256)
