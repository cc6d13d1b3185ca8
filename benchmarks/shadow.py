"""The leaking candidate of the main job, in the shadow and in the canary: how many requests each needs to reject it.

Champion and candidate are trained as the example trains them, the candidate with ``air_time``, which live requests
do not carry. Both answer the same live rows once; then many orders of those rows are drawn. ``paired``: every row
answered by both, paired evidence. ``canary``: rows split at the first step's weight, betting evidence at the metric's
share of alpha, looked at every ``BATCH`` requests, as the controller does.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from interlock.config import load_config, parse_config
from interlock.contracts import DataVerdict
from interlock.features.build import build_features, query_rows
from interlock.ingestion.ingest import ingest_table
from interlock.rollout import evidence
from interlock.rollout.counts import Sample
from interlock.rollout.evidence import Levels
from interlock.rollout.pairs import BETS
from interlock.serving.offline import decide
from interlock.submission import read_use_case
from interlock.training.train import Provenance, train_model

CONFIG = Path("examples/flights/config.yaml")
TRAINED = ("2013-01-01", "2013-09-01")
LIVE = ("2013-09-01", "2014-01-01")
ROWS, BATCH, WEIGHT = 30_000, 500, 0.05


def live_costs() -> tuple[np.ndarray, np.ndarray]:
    """Cost of champion and candidate on the same live rows."""
    config = load_config(CONFIG)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ingest_table(config, start=LIVE[0], end=LIVE[1], base=CONFIG.parent, folder=folder / "live")
        rows = query_rows(config, folder / "live").to_pandas().dropna(subset=[config.label.name])
        rows = rows.sample(ROWS, random_state=config.seed)
        truth = rows[config.label.name].to_numpy(dtype=int)
        asked = rows[config.features.names].astype(object).where(rows[config.features.names].notna(), None)
        instances = asked.to_dict("records")
        costs = []
        for extra in ([], ["air_time"]):
            labels = np.array(decide(_trained(folder / f"extra{len(extra)}", extra), instances))
            wrong = np.where(labels == 1, config.cost.false_positive, config.cost.false_negative)
            costs.append(np.where(labels == truth, 0.0, wrong))
    return costs[0], costs[1]


def _trained(folder: Path, extra: list[str]) -> Path:
    case = read_use_case(CONFIG, extra_numbers=extra)
    config = parse_config(case.config)
    table = ingest_table(config, start=TRAINED[0], end=TRAINED[1], base=CONFIG.parent, folder=folder / "table")
    verdict = DataVerdict(passed=True, rows=table.rows, features=0, table_sha256=table.sha256, schema_sha256="")
    features = build_features(config, table=table, verdict=verdict, source=folder / "table", folder=folder / "features")
    provenance = Provenance(config=case.config, window=list(TRAINED))
    train_model(config, features=features, source=folder / "features", folder=folder / "model", provenance=provenance)
    return folder / "model"


def requests_to_reject(champion: np.ndarray, candidate: np.ndarray, runs: int = 200) -> dict[str, float]:
    """Medians over ``runs`` orders of the rows; rows that are not enough count as all of them."""
    config = load_config(CONFIG)
    metric = next(m for m in config.metrics if m.role == "business")
    cap, alpha = float(metric.cap or 1), config.strategy.alpha
    share = np.log(metric.weight / sum(m.weight for m in config.metrics))
    random, paired, total, exposed = np.random.default_rng(3), [], [], []
    before = Sample(
        n=len(champion),
        nonzero=int((champion > 0).sum()),
        total=float(champion.sum()),
        squares=float((champion**2).sum()),
    )
    for _ in range(runs):
        order = random.permutation(len(champion))
        b, c = champion[order], candidate[order]
        paired.append(_first(_paired(b, c, cap) >= -np.log(alpha)))
        mine = random.random(len(b)) < WEIGHT
        log_e = evidence.betting_harm(_levels(b, c, mine), cap, before) + share
        checks = _first(log_e >= -np.log(alpha))
        total.append(min(checks * BATCH, len(b)))
        exposed.append(int(mine[: checks * BATCH].sum()))
    medians = {"paired": paired, "canary": total, "canary_candidate": exposed}
    found = {f"shadow_{name}_requests": float(np.median(values)) for name, values in medians.items()}
    return {"shadow_paired_ratio": found["shadow_paired_requests"] / found["shadow_canary_requests"], **found}


def _first(reached: np.ndarray) -> int:
    return int(reached.argmax()) + 1 if reached.any() else len(reached)


def _paired(b: np.ndarray, c: np.ndarray, cap: float) -> np.ndarray:
    """ln E of :func:`interlock.rollout.pairs.paired_harm` after every row."""
    steps = np.log1p(np.multiply.outer(np.array(BETS), (c - b) / cap)).cumsum(-1)
    return np.logaddexp.reduce(steps, axis=0) - np.log(len(BETS))


def _levels(b: np.ndarray, c: np.ndarray, mine: np.ndarray) -> Levels:
    values = np.unique(np.concatenate([[0.0], b, c]))
    checks = len(b) // BATCH
    shape = (checks, BATCH, 1)
    b, c, mine = (a[: checks * BATCH].reshape(shape) for a in (b, c, mine))
    return Levels(values, ((c == values) & mine).sum(1), ((b == values) & ~mine).sum(1), np.full(checks, WEIGHT))


if __name__ == "__main__":
    print(requests_to_reject(*live_costs()))
