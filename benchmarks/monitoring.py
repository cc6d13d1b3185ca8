"""False alarms, delay and speed of monitoring on a real serving log in SQLite. The last line is JSON.

The use case is examples/flights: a version is trained on January to June by the training core, and its own answers to
flights of these months are what the endpoint is made to have logged.

``false_alarm_rate``: windows with any alarm, of WINDOWS windows of ROWS rows each drawn from the months the version was
trained on. ``windows_to_detect``: windows until the first alarm after a shift, the worst of the SHIFTS.
``window_seconds``: counting and judging one window of LARGE_ROWS logged rows.

Rows drawn at random are kinder than the world, in which weather and delays come in clusters. ``day_alarm_rate``: share
of the real days of these months that raise an alarm, each against a reference without its own week; by check in
``days_by_check``, and of gaps alone in ``nulls_day_alarm_rate``.
``broken_feeds_found``: of every feature gone null on every DAYS_APART-th of these days, the share that ``nulls`` finds.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from interlock.config import Config, parse_config, read_config_text
from interlock.contracts import (
    DataVerdict,
    Evaluation,
    MonitoringCheck,
    MonitoringReference,
    Table,
    read_contract,
    write_contract,
)
from interlock.evaluation.evaluate import evaluate_model
from interlock.features.build import build_features
from interlock.features.query import KEY, TIME
from interlock.ingestion.ingest import ingest_table
from interlock.monitoring.judge import Surroundings, judge_window
from interlock.monitoring.window import Window, count_window
from interlock.settings import child_environment
from interlock.training.columns import columns_of
from interlock.training.export import score_onnx
from interlock.training.train import Provenance, train_model
from interlock.warehouse import open_warehouse

ROOT = Path(__file__).parents[1]
WINDOWS, ROWS, LARGE_ROWS = 200, 2_000, 1_000_000
SHIFT_WINDOWS, DAYS_APART = 3, 20
WINDOW_SECONDS = 86_400.0
SEED, CHUNK, TOGETHER = 17, 20_000, 10
INSERT = (
    "INSERT INTO request_response_log (endpoint, deployed_model_id, model_version, logging_time, request_id,"
    " request_payload, response_payload, status, latency_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="interlock-bench-") as name:
        bench = Bench(Path(name))
        result = bench.stationary() | bench.shifts() | bench.large() | bench.real_days()
    print(json.dumps(result))


class Bench:
    """A trained version, its rows as JSON, and its answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        text = read_config_text(ROOT / "examples" / "flights" / "config.yaml")
        self.config = parse_config(text)
        self.model, rows = train(self.config, text, folder)
        self.reference = read_contract(self.model / "monitoring_reference.json", MonitoringReference)
        self.evaluation = read_contract(self.model / "evaluation.json", Evaluation)
        self.signature = json.loads((self.model / "signature.json").read_text())
        self.rows = rows.to_pylist()
        self.days = np.unique(np.asarray(rows.column(TIME)).astype("datetime64[D]"), return_inverse=True)[1]
        self.draw = np.random.default_rng(SEED)

    def stationary(self) -> dict[str, Any]:
        """Windows of rows drawn at random from the training months."""
        picks = [self.draw.integers(0, len(self.rows), ROWS) for _ in range(WINDOWS)]
        verdicts = self.judge("stationary", [[dict(self.rows[i]) for i in pick] for pick in picks])
        alarms = list(filter(None, verdicts))
        for checks in alarms:
            print("false alarm:", "; ".join(check.reason for check in checks))
        return {"false_alarm_rate": len(alarms) / WINDOWS, "windows": WINDOWS, "rows_per_window": ROWS}

    def real_days(self) -> dict[str, Any]:
        """Each window is a day as it was, and then one of its features is lost."""
        least = 500  # Saturdays have fewer flights than the config asks for, and each day has one day_of_week
        self.config = msgspec.structs.replace(
            self.config,
            monitoring=msgspec.structs.replace(self.config.monitoring, minimum_rows=least, drift_limit=None),
        )
        days = {int(day): [self.rows[i] for i in np.flatnonzero(self.days == day)] for day in np.unique(self.days)}
        days = {day: rows for day, rows in days.items() if len(rows) >= least}
        alarms = [self.day(f"day-{day}", day, rows) for day, rows in days.items()]
        for checks in filter(None, alarms):
            print("a real day's alarm:", "; ".join(check.reason for check in checks))
        lost = [
            any((check.check, check.about) == ("nulls", name) for check in self.day(f"{name}-{day}", day, rows))
            for name in self.config.features.names
            for day, whole in list(days.items())[::DAYS_APART]
            for rows in ([row | {name: None} for row in whole],)
        ]
        by_check = Counter(name for checks in alarms for name in {check.check for check in checks})
        return {
            "day_alarm_rate": round(sum(map(bool, alarms)) / len(alarms), 4),
            "days": len(alarms),
            "days_by_check": dict(by_check),
            "nulls_day_alarm_rate": round(by_check["nulls"] / len(alarms), 4),
            "broken_feeds_found": round(sum(lost) / len(lost), 4),
            "broken_feeds": len(lost),
        }

    def day(self, name: str, day: int, rows: list[dict[str, Any]]) -> list[MonitoringCheck]:
        """The alarms of a real day, by a reference that does not know its week."""
        week = range(day // 7 * 7, day // 7 * 7 + 7)
        features = [
            msgspec.structs.replace(each, pieces=[piece for i, piece in enumerate(each.pieces) if i not in week])
            for each in self.reference.features
        ]
        engine = self.log(name, [rows])
        found = self.look(engine, 0, msgspec.structs.replace(self.reference, features=features))[1]
        engine.dispose()
        (self.folder / f"{name}.db").unlink()
        return found

    def shifts(self) -> dict[str, Any]:
        """Windows after each of the shifts."""
        found: dict[str, int] = {}
        for name, change in SHIFTS.items():
            picks = [self.draw.integers(0, len(self.rows), ROWS) for _ in range(SHIFT_WINDOWS)]
            windows = [[change(self.draw, dict(self.rows[i])) for i in pick] for pick in picks]
            verdicts = self.judge(name.replace(" ", "_"), windows)
            found[name] = next((i + 1 for i, checks in enumerate(verdicts) if checks), SHIFT_WINDOWS + 1)
        return {"windows_to_detect": max(found.values()), "shifts": found}

    def large(self) -> dict[str, Any]:
        """One window of a million rows."""
        repeated = [self.rows[i % len(self.rows)] for i in range(LARGE_ROWS)]
        engine = self.log("large", [repeated])
        began, cpu = time.perf_counter(), time.process_time()
        window, alarms = self.look(engine, 0)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        assert window.own.answered == LARGE_ROWS, window.own
        size = (self.folder / "large.db").stat().st_size / 1e6
        return {
            "window_seconds": round(seconds, 2),
            "window_cpu_seconds": round(cpu, 2),
            "logged_rows": LARGE_ROWS,
            "log_megabytes": round(size),
            "large_window_alarms": len(alarms),
        }

    def judge(self, name: str, windows: list[list[dict[str, Any]]]) -> list[list[MonitoringCheck]]:
        """The alarms of each window; a few windows share a database."""
        found = []
        for first in range(0, len(windows), TOGETHER):
            some = windows[first : first + TOGETHER]
            engine = self.log(f"{name}-{first}", some)
            found += [self.look(engine, i)[1] for i in range(len(some))]
        return found

    def look(
        self, engine: sa.Engine, index: int, reference: MonitoringReference | None = None
    ) -> tuple[Window, list[MonitoringCheck]]:
        """Count and judge one window: its alarms."""
        until, reference = (index + 1) * WINDOW_SECONDS, reference or self.reference
        window = count_window(engine, self.config, reference, version="1", since=until - WINDOW_SECONDS, until=until)
        report = judge_window(
            self.config,
            evaluation=self.evaluation,
            reference=reference,
            window=window,
            surroundings=Surroundings(split={"1": 100}),
        )
        missing = [check.reason for check in report.checks if check.status == "missing"]
        assert not missing, missing
        return window, [check for check in report.checks if check.status == "alarm"]

    def log(self, name: str, windows: list[list[dict[str, Any]]]) -> sa.Engine:
        """What the endpoint would have logged, and the outcomes, in a database of its own."""
        engine = open_warehouse(f"sqlite:///{self.folder / name}.db")
        label, names = self.config.label.name, self.config.features.names
        raw = engine.raw_connection()
        raw.cursor().execute("PRAGMA synchronous=OFF")  # the benchmark's own log: it need not survive a power cut
        for index, rows in enumerate(windows):
            step = WINDOW_SECONDS / (len(rows) + 1)
            for start in range(0, len(rows), CHUNK):
                chunk = rows[start : start + CHUNK]
                requests, known = [], []
                for i, (row, score) in enumerate(zip(chunk, self.scores(chunk), strict=True), start=start):
                    at, key = index * WINDOW_SECONDS + (i + 1) * step, f"{index}|{i}|{row[KEY]}"
                    instance = json.dumps([{KEY: key, **{each: _plain(row[each]) for each in names}}])
                    answer = json.dumps([{"probability": score, "label": int(score >= self.signature["threshold"])}])
                    requests.append((self.config.name, "d1", "1", at, key, instance, answer, 200, 3.0))
                    known.append((key, row[label], at + 1))
                raw.cursor().executemany(INSERT, requests)
                raw.cursor().executemany("INSERT INTO outcomes (row_key, outcome, time) VALUES (?, ?, ?)", known)
        raw.commit()
        raw.close()
        return engine

    def scores(self, rows: list[dict[str, Any]]) -> list[float]:
        """What the version answers."""
        numbers, categories = self.config.features.numbers, self.config.features.categories
        schema = pa.schema([(n, pa.float32()) for n in numbers] + [(n, pa.string()) for n in categories])
        table = pa.Table.from_pylist([{each: row[each] for each in schema.names} for row in rows], schema)
        columns = columns_of(table, numbers=numbers, categories=categories)
        answered: list[float] = score_onnx((self.model / "model.onnx").read_bytes(), columns).tolist()
        return answered


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def train(config: Config, text: str, folder: Path) -> tuple[Path, pa.Table]:
    """A version of January to June with its evaluation, by the stages' cores, and its rows."""
    base, source, model = ROOT / "examples" / "flights", folder / "source", folder / "model"
    ingest_table(config, start="2013-01-01", end="2013-07-01", base=base, folder=source)
    table = read_contract(source / "table.json", Table)
    passed = DataVerdict(passed=True, rows=table.rows, features=0, table_sha256=table.sha256, schema_sha256="")
    features = build_features(config, table=table, verdict=passed, source=source, folder=folder / "features")
    provenance = Provenance(config=text, window=["2013-01-01", "2013-07-01"])
    train_model(config, features=features, source=folder / "features", folder=model, provenance=provenance)
    evaluation = evaluate_model(
        config,
        features=features,
        source=folder / "features",
        candidate=model,
        champion=None,
        champion_version="",
        environment=child_environment(),
    )
    write_contract(evaluation, model / "evaluation.json")
    parts = [pq.read_table(folder / "features" / f"{part}.parquet") for part in ("train", "validation", "test")]
    return model, pa.concat_tables(parts)


Change = Callable[[np.random.Generator, dict[str, Any]], dict[str, Any]]


def _late(draw: np.random.Generator, row: dict[str, Any]) -> dict[str, Any]:
    row["dep_delay"] = None if row["dep_delay"] is None else row["dep_delay"] + 20
    return row


def _lost(draw: np.random.Generator, row: dict[str, Any]) -> dict[str, Any]:
    return row | {"visib": None} if draw.random() < 0.2 else row


def _other_mix(draw: np.random.Generator, row: dict[str, Any]) -> dict[str, Any]:
    return row | {"carrier": "UA"} if draw.random() < 0.3 else row


def _fahrenheit(draw: np.random.Generator, row: dict[str, Any]) -> dict[str, Any]:
    row["temp"] = None if row["temp"] is None else (row["temp"] - 32) * 5 / 9
    return row


def _other_world(draw: np.random.Generator, row: dict[str, Any]) -> dict[str, Any]:
    return row | {"late": 1 - row["late"]} if draw.random() < 0.2 else row


SHIFTS: dict[str, Change] = {
    "delays 20 minutes longer": _late,
    "visibility missing in a fifth": _lost,
    "three in ten now one carrier": _other_mix,
    "temperature in Celsius": _fahrenheit,
    "a fifth of the outcomes turned": _other_world,
}


if __name__ == "__main__":
    main()
