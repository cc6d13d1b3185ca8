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

from interlock.config import OFFLINE_METRICS, Config
from interlock.contracts import Comparison, Evaluation, Features, Measure
from interlock.errors import InputError
from interlock.evaluation.bootstrap import calibration_curve, count_cells
from interlock.evaluation.latency import Served, ServerLatency, measure_latency
from interlock.evaluation.metrics import (
    Scored,
    check_scores,
    confusion,
    measure,
    measure_all,
    paired_difference,
    roc_points,
)
from interlock.serving.model import Model, load_model
from interlock.training.columns import columns_of

Masks = dict[str, NDArray[np.bool_]]
COMPARED = ("auc", "log_loss", "brier", "cost")
LATENCY_REQUESTS = 500
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
    model = load_model(candidate)
    scored = score(model, rows, config, features.label, CANDIDATE)
    masks = slice_masks(rows, config)
    comparisons: list[Comparison] = []
    on_slices: list[Comparison] = []
    unscorable = ""
    served = {CANDIDATE: Served(candidate, request_bodies(candidate))}
    if champion is not None:
        other = load_model(champion)
        unscorable = missing_inputs(other, rows)
        if not unscorable:
            scores = score(other, rows, config, features.label, f"{CHAMPION} {champion_version}")
            comparisons = compare(scored, scores)
            for name, mask in masks.items():
                on_slices += compare(scored.subset(mask), scores.subset(mask), name)
        served[CHAMPION] = Served(champion, request_bodies(champion))
    latency = measure_latency(served, environment=environment)
    return Evaluation(
        model_sha256=model.manifest.model_sha256,
        test_sha256=features.sha256,
        champion=champion_version if champion is not None else "",
        rows=rows.num_rows,
        threshold=model.signature.threshold,
        measures=list(measures(scored, masks)),
        comparisons=comparisons,
        confusion=confusion(scored),
        roc=roc_points(scored),
        score_deciles=[float(border) for border in np.quantile(scored.scores, np.arange(1, 10) / 10)],
        latency_requests=latency[CANDIDATE].requests,
        latency_p50_ms=latency[CANDIDATE].p50_ms,
        latency_p99_ms=latency[CANDIDATE].p99_ms,
        champion_latency_p99_ms=_p99(latency.get(CHAMPION)),
        size_bytes=sum(path.stat().st_size for path in candidate.iterdir() if path.is_file()),
        load_seconds=latency[CANDIDATE].load_seconds,
        slice_comparisons=on_slices,
        calibration=calibration_curve(count_cells(scored.labels, scored.scores, scored.threshold)),
        champion_unscorable=unscorable,
    )


def score(model: Model, rows: pa.Table, config: Config, label: str, who: str) -> Scored:
    """The model's answers on ``rows``; :class:`InputError` if its inputs are gone or its answers are no numbers."""
    gone = missing_inputs(model, rows)
    if gone:
        raise InputError(f"{who} cannot be scored: {gone}; build features for this model's inputs")
    numbers = [field.name for field in model.signature.inputs if field.kind == "number"]
    categories = [field.name for field in model.signature.inputs if field.kind == "category"]
    columns = columns_of(rows, numbers=numbers, categories=categories)
    scores = model.predict(columns).astype(np.float64)
    check_scores(scores, who)
    labels = rows.column(label).to_numpy().astype(np.float64)
    return Scored(labels=labels, scores=scores, threshold=model.signature.threshold, cost=config.cost)


def missing_inputs(model: Model, rows: pa.Table) -> str:
    """Which inputs of the model the rows do not have, as a sentence; '' when all are there."""
    gone = [field.name for field in model.signature.inputs if field.name not in rows.column_names]
    return f"its inputs {', '.join(gone)} are not in the features" if gone else ""


def measures(scored: Scored, masks: Masks) -> Iterator[Measure]:
    """Every metric on all rows and on every slice."""
    parts = [("", scored), *((name, scored.subset(mask)) for name, mask in masks.items())]
    for name, part in parts:
        for metric, interval in measure_all(OFFLINE_METRICS, part).items():
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


def compare(candidate: Scored, champion: Scored, name: str = "") -> list[Comparison]:
    """Candidate minus champion, paired, on the rows of slice ``name``."""
    found = []
    for metric in COMPARED:
        interval = paired_difference(metric, candidate, champion)
        found.append(
            Comparison(
                metric=metric,
                slice=name,
                n=len(candidate.labels),
                candidate=measure(metric, candidate).value,
                champion=measure(metric, champion).value,
                difference=interval.value,
                low=interval.low,
                high=interval.high,
            )
        )
    return found


def request_bodies(folder: Path) -> list[bytes]:
    """Single-row requests from a model's own probe rows, repeated to ``LATENCY_REQUESTS``."""
    probe = msgspec.json.decode((folder / "probe.json").read_bytes())
    bodies = [msgspec.json.encode({"instances": [row]}) for row in probe["instances"]]
    return [bodies[i % len(bodies)] for i in range(LATENCY_REQUESTS)]


def _p99(latency: ServerLatency | None) -> float | None:
    return latency.p99_ms if latency else None
