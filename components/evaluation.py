"""Stage 5: evaluation."""

from interlock.components.images import ML
from kfp import dsl
from kfp.dsl import Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image=ML, install_kfp_package=False)
def evaluate_model(
    features: Input[Dataset],
    candidate: Input[Model],
    evaluation: Output[Artifact],
    metrics: Output[Metrics],
    classification: Output[ClassificationMetrics],
    config: str,
    place: str,
):
    """Measure candidate and champion on the same latest rows, and the candidate in the real model server.

    Reads: ``features``, ``candidate``, and the model with alias production from the registry.
    Writes: ``evaluation`` (evaluation/v1), and the same as KFP metrics, ROC curve and confusion matrix.
    A regression has no classification metrics; of several classes there is a confusion matrix and no one curve.
    Fails when: a model answers no probabilities or values. A champion whose inputs are gone, or which answers another
    question, is recorded, not compared.
    """
    from pathlib import Path

    from interlock.config import parse_config
    from interlock.contracts import Features, parse_place, read_contract, write_contract
    from interlock.evaluation.evaluate import evaluate_model as evaluate
    from interlock.registry.champion import fetch_champion
    from interlock.settings import child_environment
    from interlock.vertex.registry import VertexModelRegistry

    parsed = parse_config(config)
    registry = VertexModelRegistry(parse_place(place), parsed.name)
    version, champion = fetch_champion(registry, Path(evaluation.path + ".champion"))
    measured = evaluate(
        parsed,
        features=read_contract(Path(features.path) / "features.json", Features),
        source=Path(features.path),
        candidate=Path(candidate.path),
        champion=champion,
        champion_version=version,
        environment=child_environment(),
    )
    write_contract(measured, Path(evaluation.path))
    for measure in measured.measures:
        if not measure.slice and measure.value is not None:
            metrics.log_metric(measure.metric, measure.value)
    if measured.confusion:
        classification.log_confusion_matrix(measured.classes or ["0", "1"], measured.confusion)
    if measured.roc:
        thresholds, fpr, tpr = zip(*measured.roc, strict=True)
        classification.log_roc_curve(list(fpr), list(tpr), list(thresholds))
