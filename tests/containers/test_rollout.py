"""The deployment pipeline on the topology: a first version, then a canary under live traffic, judged in PostgreSQL."""

from __future__ import annotations

import http.client
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from interlock.config import parse_config
from interlock.features.query import KEY
from interlock.rehearsal.outcome import read_attempt
from interlock.rehearsal.run import prepare_rows
from interlock.rehearsal.scenario import Live
from interlock.submission import deployment_parameters, monitoring_parameters
from interlock.vertex.client import parent
from interlock.vertex.endpoint import VertexEndpoint
from interlock.vertex.registry import VertexModelRegistry
from interlock.warehouse import open_warehouse, outcomes, request_response_log, serving_log

PER_SECOND, WORKERS = 160, 4


class Traffic:
    """Live rows sent to the endpoint through its published port; what became of each is written after its answer.

    ``answers`` counts by version, or by status where there was none. What was sent before the first answer came does
    not count: no version stood there yet.
    """

    def __init__(self, topology: Any, use_case: Any, folder: Path) -> None:
        config = parse_config(use_case.config)
        live = Live(start="2013-09-01", end="2014-01-01", order="shuffled")
        table = pq.read_table(prepare_rows(config, live, base=Path(use_case.base), folder=folder))
        self._rows = table.select([KEY, config.label.name, *config.features.names]).to_pylist()
        self._label, self._topology, self._lock = config.label.name, topology, threading.Lock()
        self._path = f"/v1/{parent(topology.outside)}/endpoints/{config.name}:predict"
        self._next, self._open_since, self.answers = 0, math.inf, Counter[str]()

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Traffic until the block ends."""
        stop = threading.Event()
        with ThreadPoolExecutor(WORKERS) as pool:
            workers = [pool.submit(self._send, stop) for _ in range(WORKERS)]
            try:
                yield
            finally:
                stop.set()
        for worker in workers:
            worker.result()

    def _send(self, stop: threading.Event) -> None:
        host, port = self._topology.outside.api_endpoint.removeprefix("http://").split(":")
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._topology.secrets['INTERLOCK_TOKEN']}",
        }
        engine, due = sa.create_engine(self._topology.outside.warehouse), list[dict[str, Any]]()
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        while not stop.is_set():
            began = time.monotonic()
            with self._lock:
                row = dict(self._rows[self._next])
                self._next += 1
            outcome = row.pop(self._label)
            connection.request("POST", self._path, json.dumps({"instances": [row]}).replace("NaN", "null"), headers)
            answer = connection.getresponse()
            said = json.loads(answer.read())
            if answer.status != 200 and began < self._open_since:
                time.sleep(0.2)
                continue
            with self._lock:
                self._open_since = min(self._open_since, time.monotonic())
                self.answers[said.get("modelVersionId", "") if answer.status == 200 else str(answer.status)] += 1
            if answer.status == 200:
                due.append({"row_key": row[KEY], "outcome": outcome, "time": time.time()})
            if len(due) == 20 or stop.is_set():
                with engine.begin() as writing:
                    writing.execute(outcomes.insert(), due)
                due = []
            time.sleep(max(0.0, WORKERS / PER_SECOND - (time.monotonic() - began)))
        connection.close()
        engine.dispose()


@pytest.fixture(scope="module")
def traffic(topology: Any, use_case: Any, tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """See :class:`Traffic`."""
    return Traffic(topology, use_case, tmp_path_factory.mktemp("traffic"))


@pytest.fixture(scope="module")
def rolled_out(
    topology: Any, pipelines: Any, use_case: Any, traffic: Traffic, candidate: Path, train: Callable[[str, str], Path]
) -> Any:
    """Version 1 in production, version 2 trained beside it and deployed by a canary; how that went."""
    parameters = deployment_parameters(topology.inside, use_case)
    assert candidate.is_dir()
    with traffic.flowing():
        pipelines.run("deployment", "deploy-first", parameters)
    train("second", "2013-09-01")
    with traffic.flowing():
        pipelines.run("deployment", "deploy-second", parameters)
    return read_attempt(topology.outside, parse_config(use_case.config), title="", window=["", ""])


def test_a_canary_is_promoted_on_evidence_in_postgresql(rolled_out: Any, topology: Any, traffic: Traffic) -> None:
    assert (rolled_out.version, rolled_out.outcome) == ("2", "promoted"), rolled_out.reason
    assert rolled_out.rollout.champion == "1"
    assert rolled_out.rollout.candidate_requests >= 300
    assert set(traffic.answers) == {"1", "2"}, traffic.answers  # nobody was refused
    state = VertexEndpoint(topology.outside, "flights").read()
    assert [state.versions[id_] for id_, percent in state.traffic.items() if percent == 100] == ["2"]
    registry = VertexModelRegistry(topology.outside, "flights")
    assert (registry.version_with("production"), registry.version_with("previous")) == ("2", "1")


def test_the_log_in_postgresql_has_every_request(rolled_out: Any, topology: Any, traffic: Traffic) -> None:
    engine = open_warehouse(topology.outside.warehouse)
    log, flat = request_response_log.c, serving_log()
    counts = sa.select(log.model_version, sa.func.count()).where(log.endpoint == "flights", log.status == 200)
    known = (
        sa.select(sa.func.count())
        .select_from(flat.join(outcomes, flat.c.row_key == outcomes.c.row_key))
        .where(flat.c.predicted.in_([0, 1]), flat.c.probability.between(0, 1))
    )
    deadline, by_version = time.monotonic() + 20, {}
    while by_version != traffic.answers and time.monotonic() < deadline:  # the emulator writes in the background
        with engine.connect() as connection:
            by_version = dict(connection.execute(counts.group_by(log.model_version)).all())
            joined = connection.execute(known).scalar_one()
        time.sleep(0.1)
    engine.dispose()
    assert by_version == traffic.answers
    assert joined > 1000


def test_monitoring_reads_the_same_log(rolled_out: Any, topology: Any, pipelines: Any, use_case: Any) -> None:
    parameters = monitoring_parameters(topology.inside, use_case, hours=1.0)
    root = pipelines.run("monitoring", "monitoring", parameters)
    report = json.loads(next(root.glob("**/monitor-deployment/report")).read_bytes())
    assert (report["version"], report["failed"]) == ("2", 0), report
    assert report["requests"] > 300
    assert report["with_outcome"] > 300


def test_the_emulator_refuses_who_has_no_token(topology: Any) -> None:
    host, port = topology.outside.api_endpoint.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    connection.request("GET", f"/v1/{parent(topology.outside)}/models")
    assert connection.getresponse().status == 401
    connection.close()
