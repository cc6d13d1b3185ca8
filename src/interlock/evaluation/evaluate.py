"""Stage 5, evaluation: everything the gates need to know, measured on the latest rows the model has not seen.

The champion is scored again on the same rows: a stored score from other data proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from interlock.config import Config, metrics_of, paired_metrics
from interlock.contracts import Comparison, Evaluation, Features, Measure
from interlock.errors import InputError
from interlock.evaluation import binary, multiclass, regression
from interlock.evaluation.answers import Answers
from interlock.evaluation.latency import (
    BATCH_REQUESTS,
    UNLIMITED_BATCHES,
    Served,
    latencies_of,
    measure_latency,
    p99_ratio,
    quantile,
)
from interlock.serving.model import Model, load_model
from interlock.training.columns import columns_of
from interlock.training.labels import read_labels

Masks = dict[str, NDArray[np.bool_]]
CANDIDATE, CHAMPION = "candidate", "champion"


def evaluate_model(
    config: Config,
    *,
    features: Features,
    source: Path,
    candidate: Path,
    champion: Path | None,
    champion_version: str,
    environment: Mapping[str, str],
) -> Evaluation:
    """Evaluate the candidate's folder on ``test.parquet``; ``champion`` is the production model's folder or None.

    ``environment`` is what the model server processes are started with.
    """
    rows = pq.read_table(source / "test.parquet")
    pickles = config.training.allow_pickle
    model = load_model(candidate, allow_pickle=pickles)
    scored = score(model, rows, config, CANDIDATE)
    masks = slice_masks(rows, config)
    comparisons: list[Comparison] = []
    on_slices: list[Comparison] = []
    unscorable = ""
    batch = config.gates.latency_batch_rows
    served = {CANDIDATE: requests_of(candidate, batch)}
    if champion is not None:
        other = load_model(champion, allow_pickle=pickles)
        unscorable = another_task(other, config) or missing_inputs(other, rows)
        if not unscorable:
            scores = score(other, rows, config, f"{CHAMPION} {champion_version}")
            comparisons = compare(config, scored, scores)
            for name, mask in masks.items():
                on_slices += compare(config, scored.subset(mask), scores.subset(mask), name)
        served[CHAMPION] = requests_of(champion, batch)
    allowed = {"INTERLOCK_ALLOW_PICKLE": "1"} if pickles else {}
    batches = UNLIMITED_BATCHES if config.gates.latency_batch_p99_ms is None else BATCH_REQUESTS
    taken = measure_latency(served, environment={**environment, **allowed}, batches=batches)
    mine, theirs = taken[CANDIDATE], taken.get(CHAMPION)
    return Evaluation(
        model_sha256=model.manifest.model_sha256,
        test_sha256=features.sha256,
        champion=champion_version if champion is not None else "",
        rows=rows.num_rows,
        threshold=model.signature.threshold,
        task=config.task,
        classes=config.label.classes,
        measures=list(measures(config, scored, masks)),
        comparisons=comparisons,
        confusion=scored.confusion(),
        roc=scored.roc(),
        score_deciles=[float(border) for border in np.quantile(scored.told(), np.arange(1, 10) / 10)],
        latency_requests=len(mine.single),
        latency_p50_ms=quantile(mine.single, 0.5),
        latency_p99_ms=quantile(mine.single, 0.99),
        champion_latency_p99_ms=quantile(theirs.single, 0.99) if theirs else None,
        latencies=latencies_of(taken),
        latency_p99_ratio=p99_ratio(mine.single, theirs.single) if theirs else [],
        memory_bytes=mine.memory_bytes,
        champion_memory_bytes=theirs.memory_bytes if theirs else None,
        size_bytes=sum(path.stat().st_size for path in candidate.iterdir() if path.is_file()),
        load_seconds=mine.load_seconds,
        slice_comparisons=on_slices,
        calibration=scored.calibration(),
        champion_unscorable=unscorable,
    )


def score(model: Model, rows: pa.Table, config: Config, who: str) -> Answers:
    """The model's answers on ``rows``; :class:`InputError` if its inputs are gone or its answers are no numbers."""
    gone = another_task(model, config) or missing_inputs(model, rows)
    if gone:
        raise InputError(f"{who} cannot be scored: {gone}; build features for this model's inputs")
    numbers = [field.name for field in model.signature.inputs if field.kind == "number"]
    categories = [field.name for field in model.signature.inputs if field.kind == "category"]
    columns = columns_of(rows, numbers=numbers, categories=categories)
    scores = model.predict(columns).astype(np.float64)
    labels = read_labels(rows, config)
    if config.task == "multiclass":
        multiclass.check_scores(scores, who)
        return multiclass.ClassAnswers(labels=labels, scores=scores, classes=config.label.classes)
    labels = labels.astype(np.float64)
    if config.task == "regression":
        regression.check_scores(scores, who)
        return regression.ValueAnswers(labels=labels, scores=scores)
    binary.check_scores(scores, who)
    return binary.BinaryAnswers(labels=labels, scores=scores, threshold=model.signature.threshold, cost=config.cost)


def another_task(model: Model, config: Config) -> str:
    """Why the model does not answer the config's question, as a sentence; '' when it does."""
    theirs, ours = model.signature, config.label.classes
    if theirs.task != config.task:
        return f"its task is {theirs.task}, not {config.task}"
    return f"its classes are {', '.join(theirs.classes)}, not {', '.join(ours)}" if theirs.classes != ours else ""


def missing_inputs(model: Model, rows: pa.Table) -> str:
    """Which inputs of the model the rows do not have, as a sentence; '' when all are there."""
    gone = [field.name for field in model.signature.inputs if field.name not in rows.column_names]
    return f"its inputs {', '.join(gone)} are not in the features" if gone else ""


def measures(config: Config, scored: Answers, masks: Masks) -> Iterator[Measure]:
    """Every metric of the task on all rows and on every slice."""
    metrics = metrics_of(config.task, config.label.classes, [rule.metric for rule in config.gates.metrics])
    parts = [("", scored), *((name, scored.subset(mask)) for name, mask in masks.items())]
    for name, part in parts:
        for metric, interval in part.measure(metrics).items():
            yield Measure(
                metric=metric,
                slice=name,
                n=len(part.labels),
                value=interval.value,
                low=interval.low,
                high=interval.high,
            )


def slice_masks(rows: pa.Table, config: Config) -> Masks:
    """Rows of every value of every slice column as ``column=value``, then of pairs as ``one&other=value&value``."""
    coded = {column: _codes(rows, column) for column in config.slices}
    masks = {f"{c}={value}": codes == i for c, (values, codes) in coded.items() for i, value in enumerate(values)}
    for one, other in config.slice_pairs:
        for first in coded[one][0]:
            for second in coded[other][0]:
                mask = masks[f"{one}={first}"] & masks[f"{other}={second}"]
                if mask.any():
                    masks[f"{one}&{other}={first}&{second}"] = mask
    return masks


def _codes(rows: pa.Table, column: str) -> tuple[list[str], NDArray[np.int64]]:
    """Sorted values of a column, and per row the index of its own."""
    texts = pc.fill_null(rows.column(column).cast(pa.string()), "").combine_chunks().dictionary_encode()
    values = texts.dictionary.to_pylist()
    order = sorted(range(len(values)), key=values.__getitem__)
    rank = np.empty(len(values), np.int64)
    rank[order] = np.arange(len(values))
    return [values[i] for i in order], rank[texts.indices.to_numpy()]


def compare(config: Config, candidate: Answers, champion: Answers, name: str = "") -> list[Comparison]:
    """Candidate minus champion, paired, on the rows of slice ``name``."""
    metrics = paired_metrics(config.task, config.label.classes, [rule.metric for rule in config.gates.regression])
    mine, theirs = candidate.measure(metrics), champion.measure(metrics)
    found = []
    for metric in metrics:
        interval = candidate.difference(metric, champion)
        found.append(
            Comparison(
                metric=metric,
                slice=name,
                n=len(candidate.labels),
                candidate=mine[metric].value,
                champion=theirs[metric].value,
                difference=interval.value,
                low=interval.low,
                high=interval.high,
            )
        )
    return found


def requests_of(folder: Path, batch_rows: int) -> Served:
    """Requests from a model's own probe rows: each row alone, and all of them over and over in batches."""
    instances = msgspec.json.decode((folder / "probe.json").read_bytes())["instances"]
    single = [msgspec.json.encode({"instances": [row]}) for row in instances]
    starts = range(len(instances))
    batches = [[instances[(start + i) % len(instances)] for i in range(batch_rows)] for start in starts]
    return Served(folder, single, [msgspec.json.encode({"instances": rows}) for rows in batches], batch_rows)
