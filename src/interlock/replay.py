"""Train a registered version again, from what the registry says about it, and compare.

The data verdict is the version's own: it is about the table's fingerprint, so it holds for equal tables and for
no other. A table that changed ends the replay, for then nothing after it can be the same.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from interlock.config import Config, parse_config
from interlock.contracts import DataVerdict, Evaluation, Manifest, Measure, read_contract
from interlock.evaluation.evaluate import measures, score, slice_masks
from interlock.features.build import build_features
from interlock.ingestion.ingest import ingest_table
from interlock.serving.model import load_model
from interlock.training.train import Provenance, library_versions, train_model


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not as it was, as text."""

    what: str
    then: str
    now: str


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What came of training again. ``model_sha256`` is '' where the table is not the same and nothing was trained.

    ``results``: what differs in what was made. ``surroundings``: what differs in what made it (revision, lock,
    libraries): the first place to look when a result differs, and no harm when none does.
    """

    version_sha256: str
    model_sha256: str
    metrics: int
    results: list[Difference]
    surroundings: list[Difference]

    @property
    def identical(self) -> bool:
        """Same bytes, same metrics."""
        return not self.results


def replay_version(folder: Path, *, base: Path, git_revision: str, lock_sha256: str) -> Replay:
    """Train again the version whose files are in ``folder``; relative table paths start at ``base``."""
    manifest = read_contract(folder / "manifest.json", Manifest)
    config = parse_config(manifest.config, "config of the version")
    surroundings = _surroundings(manifest, git_revision, lock_sha256)
    with tempfile.TemporaryDirectory(prefix="interlock-replay-") as name:
        work = Path(name)
        start, end = [*manifest.window, "", ""][:2]
        table = ingest_table(config, start=start, end=end, base=base, folder=work / "table")
        results = compare({"table": manifest.table_sha256}, {"table": table.sha256})
        if results:
            return Replay(
                version_sha256=manifest.model_sha256,
                model_sha256="",
                metrics=0,
                results=results,
                surroundings=surroundings,
            )
        verdict = read_contract(folder / "data_verdict.json", DataVerdict)
        features = build_features(config, table=table, verdict=verdict, source=work / "table", folder=work / "features")
        again = train_model(
            config,
            features=features,
            source=work / "features",
            folder=work / "candidate",
            provenance=Provenance(config=manifest.config, window=manifest.window),
        )
        results = compare(_made(manifest), _made(again))
        evaluation = read_contract(folder / "evaluation.json", Evaluation)
        measured = _measures(config, work)
        results += compare(_values(evaluation.measures), _values(measured))
    return Replay(
        version_sha256=manifest.model_sha256,
        model_sha256=again.model_sha256,
        metrics=len(measured),
        results=results,
        surroundings=surroundings,
    )


def compare(then: dict[str, str], now: dict[str, str]) -> list[Difference]:
    """What is in both, or in one only, and not the same; in the order of ``then``."""
    names = [*then, *(name for name in now if name not in then)]
    pairs = [(name, then.get(name, "nothing"), now.get(name, "nothing")) for name in names]
    return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]


def _made(manifest: Manifest) -> dict[str, str]:
    return {
        "features": manifest.features_sha256,
        "model": manifest.model_sha256,
        "signature": manifest.signature_sha256,
        "parameters": str(dict(sorted(manifest.parameters.items()))),
    }


def _surroundings(manifest: Manifest, git_revision: str, lock_sha256: str) -> list[Difference]:
    then = {"git revision": manifest.git_revision, "lock": manifest.lock_sha256, **manifest.libraries}
    return compare(then, {"git revision": git_revision, "lock": lock_sha256, **library_versions()})


def _measures(config: Config, work: Path) -> list[Measure]:
    rows = pq.read_table(work / "features" / "test.parquet")
    model = load_model(work / "candidate", allow_pickle=config.training.allow_pickle)
    return list(measures(config, score(model, rows, config, "replayed model"), slice_masks(rows, config)))


def _values(found: list[Measure]) -> dict[str, str]:
    return {f"{m.metric} on {m.slice or 'all rows'}": str(m.value) for m in found}
