"""From a table to a version in the registry.

1. ingest_table      rows of a time window as Parquet, with a fingerprint
2. validate_data     TFDV statistics against the reviewed schema
3. build_features    joins, derived columns, split by time; refuses a table whose verdict did not pass
4. train_model       a candidate: ONNX, signature, manifest
5. evaluate_model    metrics with intervals, overall and per slice; champion re-scored on the same rows
6. judge_candidate   the five gates
7. register_model    a version with alias ``staging``; refuses a candidate whose gates are closed

What reads or changes the world outside (1, 5, 7) is never taken from a cache.
"""

from interlock.components.evaluation import evaluate_model
from interlock.components.features import build_features
from interlock.components.gates import judge_candidate
from interlock.components.images import ML, SERVE
from interlock.components.ingestion import ingest_table
from interlock.components.registry import register_model
from interlock.components.training import train_model
from interlock.components.validation import validate_data
from kfp import dsl

from interlock.config import Machine


def training_on(machine: Machine):
    """The training pipeline whose training step asks for ``machine``."""

    @dsl.pipeline(name="interlock-training", description="From a table to a version in the registry.")
    def training(
        config: str,
        place: str,
        schema: str = "",
        start: str = "",
        end: str = "",
        base: str = ".",
        git_revision: str = "",
        lock_sha256: str = "",
        serving_image: str = SERVE,
    ):
        """Train on the rows with start <= time < end ('' = open) and register what passes every gate."""
        ingested = ingest_table(config=config, start=start, end=end, base=base).set_caching_options(False)
        ingested.set_cpu_request("500m").set_memory_request("2G")
        table = ingested.outputs["table"]

        validated = validate_data(table=table, config=config, schema=schema)
        validated.set_cpu_request("500m").set_memory_request("2G")
        verdict = validated.outputs["verdict"]

        built = build_features(table=table, verdict=verdict, config=config)
        features = built.outputs["features"]

        trained = train_model(
            features=features,
            config=config,
            start=start,
            end=end,
            git_revision=git_revision,
            lock_sha256=lock_sha256,
            image=ML,
        )
        _ask_for(trained, machine)
        candidate = trained.outputs["candidate"]

        evaluated = evaluate_model(features=features, candidate=candidate, config=config, place=place)
        evaluated.set_caching_options(False)
        evaluation = evaluated.outputs["evaluation"]

        judged = judge_candidate(verdict=verdict, candidate=candidate, evaluation=evaluation, config=config)

        register_model(
            verdict=verdict,
            candidate=candidate,
            evaluation=evaluation,
            report=judged.outputs["report"],
            config=config,
            place=place,
            serving_image=serving_image,
        ).set_caching_options(False)

    return training


def _ask_for(task: dsl.PipelineTask, machine: Machine) -> None:
    if machine.cpu:
        task.set_cpu_limit(machine.cpu)
    if machine.memory:
        task.set_memory_limit(machine.memory)
    if machine.accelerator:
        task.set_accelerator_type(machine.accelerator).set_accelerator_limit(machine.accelerators)


training = training_on(Machine())
