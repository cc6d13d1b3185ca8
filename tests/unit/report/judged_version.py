"""A version as a training run leaves it: contracts with plausible numbers, and gates that were really judged."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from interlock.config import Config
from interlock.contracts import (
    Anomaly,
    Comparison,
    DataVerdict,
    Evaluation,
    FeatureDrift,
    GateReport,
    Latency,
    Manifest,
    Measure,
)
from interlock.gates.judge import judge_candidate
from interlock.report import VersionReport

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights" / "config.yaml"
CARRIERS = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"]
ROWS_OF = [3400, 6400, 140, 10800, 9300, 10200, 130, 640, 70, 5000, 6, 11300, 4000, 1000, 2400, 110]


def measures(auc: float, cost: float) -> list[Measure]:
    """All metrics on all rows, AUC and cost on the slices; tiny slices carry no AUC."""
    overall = {"auc": auc, "average_precision": 0.81, "log_loss": 0.31, "brier": 0.094, "precision": 0.62}
    overall |= {"recall": 0.78, "cost": cost}
    found = [
        Measure(metric=metric, n=65_000, value=value, low=value - 0.004, high=value + 0.004)
        for metric, value in overall.items()
    ]
    slices = [*zip([f"carrier={c}" for c in CARRIERS], ROWS_OF, strict=True)]
    slices += [("origin=EWR", 23_000), ("origin=JFK", 22_000), ("origin=LGA", 20_000)]
    random = np.random.default_rng(3)
    for name, n in slices:
        value, half = auc - 0.01 + 0.02 * float(random.standard_normal()), min(0.35 / n**0.5, 0.2)
        known = n >= 100
        found.append(
            Measure(
                metric="auc",
                slice=name,
                n=n,
                value=value if known else None,
                low=value - half if known else None,
                high=min(value + half, 1.0) if known else None,
            )
        )
        found.append(Measure(metric="cost", slice=name, n=n, value=cost, low=cost - half, high=cost + half))
    return found


def latency(model: str, p99: float) -> Latency:
    """One row per request."""
    about = {"p50_ms": 0.61, "p50_low": 0.6, "p50_high": 0.63, "p99_ms": p99, "p99_low": p99 - 0.1}
    return Latency(model=model, rows=1, requests=500, p99_high=p99 + 0.2, **about)


def version(
    config: Config, number: str, title: str, *, months: int, auc: float, cost: float, aliases: list[str]
) -> VersionReport:
    """A version whose gates were really judged."""
    champion = "" if number == "1" else "1"
    digest = (number * 64)[:64]
    rows = {"train": 25_000 * months, "validation": 3_570 * months, "test": 7_140 * months}
    manifest = Manifest(
        name=config.name,
        model_sha256=digest,
        signature_sha256="a" * 64,
        features_sha256="b" * 64,
        table_sha256="c" * 64,
        config_sha256="d" * 64,
        config=EXAMPLE.read_text(encoding="utf-8"),
        seed=config.seed,
        window=["2013-01-01", f"2013-{months + 1:02d}-01"],
        rows=rows,
        git_revision="3f2a9c1",
        lock_sha256="e" * 64,
        libraries={"scikit-learn": "1.9.1", "onnxruntime": "1.24.0", "numpy": "2.4.1"},
        parity_max_difference=3.1e-7,
    )
    verdict = DataVerdict(
        passed=True,
        rows=sum(rows.values()),
        features=13,
        table_sha256="c" * 64,
        schema_sha256="f" * 64,
        anomalies=[
            Anomaly(
                feature="dest",
                rule="unexpected value",
                value="LEX: 1 row",
                limit="104 known values",
                reason="LEX is not in the domain of dest, 1 row <= 0.1 %",
                blocking=False,
                rows=[{"flight": "1407", "dest": "LEX"}],
            )
        ],
        drift=[
            FeatureDrift(feature="temp", divergence=0.031, limit=0.1, alarm=False),
            FeatureDrift(feature="wind_gust", divergence=0.142, limit=0.1, alarm=True),
        ],
    )
    comparisons = [
        Comparison(
            metric=metric,
            n=65_000,
            candidate=mine,
            champion=theirs,
            difference=mine - theirs,
            low=mine - theirs - 0.0015,
            high=mine - theirs + 0.0015,
        )
        for metric, mine, theirs in (
            ("auc", auc, 0.921),
            ("log_loss", 0.31, 0.3105),
            ("brier", 0.094, 0.0965),
            ("cost", cost, 0.348),
        )
    ]
    x = np.linspace(0, 1, 101)
    evaluation = Evaluation(
        model_sha256=digest,
        test_sha256="9" * 64,
        champion=champion,
        rows=65_000,
        threshold=0.1818,
        measures=measures(auc, cost),
        comparisons=comparisons if champion else [],
        slice_comparisons=[
            msgspec.structs.replace(comparisons[0], slice=f"carrier={carrier}", n=n)
            for carrier, n in zip(CARRIERS, ROWS_OF, strict=True)
            if champion
        ],
        confusion=[[44_500, 6_300], [2_900, 11_300]],
        roc=[[float(1 - t), float(t), float(1 - (1 - t**0.42) ** 3.2)] for t in x],
        calibration=[[float(s), float(s) ** 1.05, 6500.0] for s in np.linspace(0.02, 0.93, 10)],
        score_deciles=[0.02, 0.03, 0.05, 0.07, 0.1, 0.16, 0.3, 0.6, 0.9],
        latency_requests=500,
        latency_p50_ms=0.61,
        latency_p99_ms=1.42,
        champion_latency_p99_ms=1.39 if champion else None,
        latencies=[latency("candidate", 1.42), *([latency("champion", 1.39)] if champion else [])],
        latency_p99_ratio=[1.02, 0.91, 1.14] if champion else [],
        memory_bytes=92_000_000,
        size_bytes=842_113,
        load_seconds=0.4,
    )
    gates: GateReport = judge_candidate(config, verdict=verdict, manifest=manifest, evaluation=evaluation)
    return VersionReport(
        version=number,
        title=title,
        window=manifest.window,
        aliases=aliases,
        manifest=manifest,
        verdict=verdict,
        evaluation=evaluation,
        gates=gates,
    )
