"""What the gates do to sound and to broken candidates, how long evaluation takes, and whether training repeats.

Worst honest case: every slice limit of the sound candidate is exactly its true value, and it is exactly as good as
the champion, so each of the sixty slice tests is at the border where a false alarm is likeliest. The broken
candidate is the same, but on one slice, drawn anew each time, its AUC is ten points lower.

The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq

from interlock.config import Config, Cost, MetricRule, RegressionRule, load_config
from interlock.contracts import Comparison, DataVerdict, Evaluation, Manifest, Measure, read_contract, write_contract
from interlock.evaluation.binary import BinaryAnswers, measure, paired_difference
from interlock.evaluation.evaluate import measures, slice_masks
from interlock.gates.rules import answer, metric_questions, regression_questions

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "flights" / "config.yaml"
COST = Cost(false_positive=1, false_negative=5)
SLICES, MINIMUM_ROWS, BROKEN = 30, 500, 0.10
TRUE_AUC = 0.9213504  # two unit normals, two apart: the normal distribution at the square root of two
SIZES = np.geomspace(MINIMUM_ROWS, 4000, SLICES).astype(int)


def world(random: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels (22 % positive) and what two equally good models see of them: scores on the logit scale, AUC 0.9214."""
    labels = (random.random(rows) < 0.22).astype(np.float64)
    shared = random.normal(size=rows) * np.sqrt(0.8)
    one, other = (shared + random.normal(size=rows) * np.sqrt(0.2) + 2 * labels - 2.5 for _ in range(2))
    return labels, one, other


def broken(random: np.random.Generator, labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """The same slice with less signal: AUC 0.8214 instead of 0.9214."""
    from scipy.stats import norm

    signal = np.sqrt(2) * norm.ppf(TRUE_AUC - BROKEN)
    return logits - (2 - signal) * labels


def scored(labels: np.ndarray, logits: np.ndarray) -> BinaryAnswers:
    return BinaryAnswers(labels=labels, scores=1 / (1 + np.exp(-logits)), threshold=0.2, cost=COST)


def evaluation(random: np.random.Generator, hurt: int | None) -> Evaluation:
    """AUC of one candidate against one champion, overall and on thirty slices; slice ``hurt`` is broken."""
    labels, mine, theirs = world(random, int(SIZES.sum()))
    where = np.repeat(np.arange(SLICES), SIZES)
    if hurt is not None:
        part = where == hurt
        mine[part] = broken(random, labels[part], mine[part])
    candidate, champion = scored(labels, mine), scored(labels, theirs)
    found, compared = [], []
    for name, mask in [("", np.ones(len(labels), bool)), *((f"shop={i}", where == i) for i in range(SLICES))]:
        one, other = candidate.subset(mask), champion.subset(mask)
        auc, difference = measure("auc", one), paired_difference("auc", one, other)
        n = int(mask.sum())
        found.append(Measure(metric="auc", slice=name, n=n, value=auc.value, low=auc.low, high=auc.high))
        compared.append(
            Comparison(
                metric="auc",
                slice=name,
                n=n,
                candidate=auc.value,
                champion=measure("auc", other).value,
                difference=difference.value,
                low=difference.low,
                high=difference.high,
            )
        )
    return Evaluation(
        model_sha256="m",
        test_sha256="t",
        champion="1",
        rows=len(labels),
        threshold=0.2,
        measures=found,
        comparisons=compared[:1],
        slice_comparisons=compared[1:],
        confusion=[[0, 0], [0, 0]],
        roc=[],
        score_deciles=[],
        latency_requests=1,
        latency_p50_ms=1,
        latency_p99_ms=1,
        champion_latency_p99_ms=None,
        size_bytes=1,
        load_seconds=1,
    )


def strict(config: Config) -> Config:
    """Limits where the truth of the sound candidate is."""
    slices = {"slice": "shop", "minimum_rows": MINIMUM_ROWS}
    gates = msgspec.structs.replace(
        config.gates,
        metrics=[MetricRule(metric="auc", at_least=0.9), MetricRule(metric="auc", at_least=TRUE_AUC, **slices)],
        regression=[RegressionRule(metric="auc", within=0.01), RegressionRule(metric="auc", within=0.0, **slices)],
    )
    return msgspec.structs.replace(config, gates=gates, slices=["shop"], slice_pairs=[])


def closes(config: Config, found: Evaluation, slice_name: str | None = None) -> bool:
    """Whether a rule closes the gate, on ``slice_name`` if given."""
    results = answer([*metric_questions(config, found), *regression_questions(config, found)])
    return any(r.verdict != "pass" and r.blocking and slice_name in {None, r.slice} for r in results)


def uncorrected(found: Evaluation) -> bool:
    """What a gate without correction says: some slice is below its limit at one-sided 5 %."""
    z = 1.645 / 1.96
    low = any(m.high is not None and m.value + z * (m.high - m.value) < TRUE_AUC for m in found.measures[1:])
    return low or any(c.difference + z * (c.high - c.difference) < 0 for c in found.slice_comparisons)


def point(found: Evaluation) -> bool:
    """What a gate on point estimates says."""
    return any(m.value < TRUE_AUC for m in found.measures[1:]) or any(c.difference < 0 for c in found.slice_comparisons)


def simulate(config: Config, runs: int) -> dict[str, float]:
    random = np.random.default_rng(20_250_202)
    judged = strict(config)
    sound = [evaluation(random, None) for _ in range(runs)]
    found = 0
    for _ in range(runs):
        hurt = int(random.integers(SLICES))
        found += closes(judged, evaluation(random, hurt), f"shop={hurt}")
    return {
        "runs": runs,
        "false_fail": sum(closes(judged, one) for one in sound) / runs,
        "power_10_points": found / runs,
        "uncorrected_false_fail": sum(uncorrected(one) for one in sound) / runs,
        "point_false_fail": sum(point(one) for one in sound) / runs,
    }


def time_evaluation(config: Config) -> float:
    """Seconds for every metric on 336,776 rows and 30 slices, compared with a champion on each; 1,000 resamples."""
    import pyarrow as pa

    from interlock.evaluation.evaluate import compare

    random = np.random.default_rng(1)
    labels, one, other = world(random, 336_776)
    rows = pa.table({"shop": [f"{i:02d}" for i in random.integers(0, 30, len(labels))]})
    sliced = msgspec.structs.replace(config, slices=["shop"], slice_pairs=[])
    began = time.perf_counter()
    candidate, champion = scored(labels, one), scored(labels, other)
    masks = slice_masks(rows, sliced)
    assert len(list(measures(sliced, candidate, masks))) == 31 * 9
    for name, mask in masks.items():
        compare(sliced, candidate.subset(mask), champion.subset(mask), name)
    return time.perf_counter() - began


def replay_example(config_path: Path) -> dict[str, object]:
    """Train the example on two months, then again from its manifest."""
    from interlock.features.build import build_features
    from interlock.ingestion.ingest import ingest_table
    from interlock.replay import replay_version
    from interlock.training.train import Provenance, train_model

    text = config_path.read_text()
    config = load_config(config_path)
    work = Path(tempfile.mkdtemp(prefix="interlock-gates-"))
    try:
        window = ["2013-01-01", "2013-03-01"]
        table = ingest_table(config, start=window[0], end=window[1], base=config_path.parent, folder=work / "table")
        verdict = DataVerdict(passed=True, rows=table.rows, features=0, table_sha256=table.sha256, schema_sha256="")
        features = build_features(config, table=table, verdict=verdict, source=work / "table", folder=work / "features")
        manifest: Manifest = train_model(
            config,
            features=features,
            source=work / "features",
            folder=work / "version",
            provenance=Provenance(config=text, window=window),
        )
        write_contract(verdict, work / "version" / "data_verdict.json")
        write_contract(_own_evaluation(config, work), work / "version" / "evaluation.json")
        again = replay_version(work / "version", base=config_path.parent, git_revision="", lock_sha256="")
        assert read_contract(work / "version" / "manifest.json", Manifest) == manifest
    finally:
        shutil.rmtree(work)
    return {"replay_identical": again.identical, "parity_max_diff": manifest.parity_max_difference}


def _own_evaluation(config: Config, work: Path) -> Evaluation:
    from interlock.evaluation.evaluate import score
    from interlock.serving.model import load_model

    rows = pq.read_table(work / "features" / "test.parquet")
    own = score(load_model(work / "version"), rows, config, "candidate")
    empty = evaluation(np.random.default_rng(0), None)
    return msgspec.structs.replace(empty, measures=list(measures(config, own, slice_masks(rows, config))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400, help="simulated candidates of each kind")
    runs = parser.parse_args().runs
    config = load_config(EXAMPLE)
    seconds = time_evaluation(config)
    print(f"evaluation {seconds:.1f} s", flush=True)
    result: dict[str, object] = dict(replay_example(EXAMPLE))
    print(f"replay {result}", flush=True)
    result |= simulate(config, runs) | {"evaluate_seconds": round(seconds, 2)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
