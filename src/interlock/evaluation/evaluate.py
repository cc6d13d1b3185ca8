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

from interlock.config import OFFLINE_METRICS, Config
from interlock.contracts import Comparison, Evaluation, Features, Measure
from interlock.errors import InputError
from interlock.evaluation.latency import Served, ServerLatency, measure_latency
from interlock.evaluation.metrics import (
    Scored,
    check_scores,
    confusion,
    measure,
    paired_difference,
    roc_points,
)
from interlock.serving.model import Model, load_model
from interlock.training.columns import columns_of

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
    comparisons: list[Comparison] = []
    served = {CANDIDATE: Served(candidate, request_bodies(candidate))}
    if champion is not None:
        other = score(load_model(champion), rows, config, features.label, f"{CHAMPION} {champion_version}")
        comparisons = compare(scored, other)
        served[CHAMPION] = Served(champion, request_bodies(champion))
    latency = measure_latency(served, environment=environment)
    return Evaluation(
        model_sha256=model.manifest.model_sha256,
        test_sha256=features.sha256,
        champion=champion_version if champion is not None else "",
        rows=rows.num_rows,
        threshold=model.signature.threshold,
        measures=list(measures(scored, rows, config.slices)),
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
    )


def score(model: Model, rows: pa.Table, config: Config, label: str, who: str) -> Scored:
    """The model's answers on ``rows``; :class:`InputError` if its inputs are gone or its answers are no numbers."""
    numbers = [field.name for field in model.signature.inputs if field.kind == "number"]
    categories = [field.name for field in model.signature.inputs if field.kind == "category"]
    try:
        columns = columns_of(rows, numbers=numbers, categories=categories)
    except InputError as error:
        raise InputError(f"{who} cannot be scored: {error}") from error
    scores = model.predict(columns).astype(np.float64)
    check_scores(scores, who)
    labels = rows.column(label).to_numpy().astype(np.float64)
    return Scored(labels=labels, scores=scores, threshold=model.signature.threshold, cost=config.cost)


def measures(scored: Scored, rows: pa.Table, slices: list[str]) -> Iterator[Measure]:
    """Every metric on all rows and on every value of every slice column."""
    for name, part in [("", scored), *_slices(scored, rows, slices)]:
        for metric in OFFLINE_METRICS:
            interval = measure(metric, part)
            yield Measure(
                metric=metric,
                slice=name,
                n=len(part.labels),
                value=interval.value,
                low=interval.low,
                high=interval.high,
            )


def _slices(scored: Scored, rows: pa.Table, slices: list[str]) -> Iterator[tuple[str, Scored]]:
    for column in slices:
        values = pc.fill_null(rows.column(column).cast(pa.string()), "")
        for value in sorted(pc.unique(values).to_pylist()):
            yield f"{column}={value}", scored.subset(pc.equal(values, value).to_numpy())


def compare(candidate: Scored, champion: Scored) -> list[Comparison]:
    """Candidate minus champion, paired, on all rows."""
    found = []
    for metric in COMPARED:
        interval = paired_difference(metric, candidate, champion)
        found.append(
            Comparison(
                metric=metric,
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
