"""The main job on real data: what README promises, checked against registry, journal, log and report."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import numpy as np
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from interlock.config import load_config
from interlock.contracts import Manifest, Place, read_contract
from interlock.rehearsal.outcome import read_version
from interlock.rollout.history import rollouts
from interlock.rollout.journal import Judged, Quarantined, RolledBack, RollingBack, Settled, Started, TrafficSet
from interlock.serving.model import load_model
from interlock.training.columns import columns_of
from interlock.vertex.endpoint import VertexEndpoint
from interlock.vertex.registry import VertexModelRegistry
from interlock.warehouse import open_warehouse, outcomes, request_response_log

from .conftest import interlock


@pytest.fixture(scope="module")
def run(tmp_path_factory, flights):
    """One whole run, its emulators left up."""
    state = tmp_path_factory.mktemp("main") / "run"
    done = interlock("run", flights / "run.yaml", "--state", state, "--keep", timeout=400)
    yield state, done
    interlock("down", "--state", state)


@pytest.fixture(scope="module")
def place(run):
    return read_contract(run[0] / "place.json", Place)


@pytest.fixture(scope="module")
def config(flights):
    return load_config(flights / "config.yaml")


@pytest.fixture(scope="module")
def journals(place, config):
    return [entries for _, entries in rollouts(open_warehouse(place.warehouse), config.name)]


@contextmanager
def model_server(folder):
    """The address of a model server of its own: what it is asked is in no log of the endpoint."""
    process = subprocess.Popen(
        [sys.executable, "-m", "interlock.serving"],
        env={"PATH": os.environ["PATH"], "AIP_STORAGE_URI": str(folder), "AIP_HTTP_PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
    finally:
        process.terminate()
        process.communicate(timeout=20)


def post(address, body):
    request = urllib.request.Request(address, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def events(entries, kind):
    return [entry.event for entry in entries if isinstance(entry.event, kind)]


def test_ends_as_the_scenario_says(run):
    _, done = run
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"version 2 .*promoted: .*not worse than \+25%: e-value [\d.e+]+ >= 100", done.stdout)
    assert re.search(r"version 3 .*rolled back: .*e-value .* >= 100: worse", done.stdout)
    assert re.search(r"served [\d,]+ requests, traffic was back \d\.\d\d s after the decision", done.stdout)


def test_takes_under_three_minutes(run):
    seconds = int(re.search(r"\n(\d+) s; report:", run[1].stdout).group(1))
    assert seconds < 180


def test_traffic_and_alias_agree_on_the_sound_version(place, config):
    registry = VertexModelRegistry(place, config.name)
    state = VertexEndpoint(place, config.name).read()
    serving = [state.versions[deployed] for deployed, percent in state.traffic.items() if percent]
    assert serving == ["2"]
    assert sum(state.traffic.values()) == 100
    assert registry.find("production").version == "2"
    assert registry.find("previous").version == "1"
    assert registry.find("staging") is None


def test_the_bad_version_is_quarantined_and_not_deployed(place, config):
    registry = VertexModelRegistry(place, config.name)
    assert registry.find("quarantined-3").version == "3"
    assert "3" not in VertexEndpoint(place, config.name).read().versions.values()


def test_offline_every_gate_liked_the_bad_version(place, config):
    bad = read_version(place, config, "3", title="", window=[])
    assert bad.gates.passed
    assert bad.gates.champion == "2"
    cost = next(c for c in bad.evaluation.comparisons if c.metric == "cost")
    assert cost.high < 0  # shown cheaper than the champion on the same rows


def test_every_staged_version_carries_its_evidence(place, config):
    from interlock.vertex.client import sdk

    for version in ("1", "2", "3"):
        model = sdk(place).Model(f"{config.name}@{version}")
        (evaluation,) = model.list_model_evaluations()
        assert evaluation.metrics["auRoc"] > 0.85
        assert evaluation.gca_resource.metadata["gates_passed"] is True


def test_rollback_goes_traffic_first_then_quarantine(journals):
    entries = journals[2]
    order = [type(entry.event) for entry in entries]
    decided = order.index(RollingBack)
    set_back = next(i for i in range(decided, len(order)) if order[i] is TrafficSet)
    assert decided < set_back < order.index(Quarantined)
    assert events(entries, RolledBack)[0].seconds < 1


def test_the_bad_version_never_had_more_than_its_steps(journals):
    start = events(journals[2], Started)[0]
    shares = [event.traffic.get(start.candidate_deployed, 0) for event in events(journals[2], TrafficSet)]
    assert shares[-1] == 0
    assert set(shares[:-1]) <= {5, 25, 50}


def test_promotion_followed_evidence_at_every_step(journals):
    passed = [event.step for event in events(journals[1], Judged) if event.action == "continue"]
    assert passed == [0, 1, 2]
    assert events(journals[1], Settled)[0].outcome == "promoted"


def test_zero_percent_got_no_request(place, journals):
    """Between deployment and the first step, and after the rollback, the candidate answers nothing."""
    log = request_response_log.c
    for entries in journals[1:]:
        start = events(entries, Started)[0]
        first = next(event for event in events(entries, TrafficSet))
        query = sa.select(sa.func.count()).where(
            log.deployed_model_id == start.candidate_deployed, log.log_id <= first.log_id - 1000
        )
        with open_warehouse(place.warehouse).connect() as connection:
            assert connection.execute(query).scalar_one() == 0


def test_no_request_was_lost(place):
    log = request_response_log.c
    with open_warehouse(place.warehouse).connect() as connection:
        failed = connection.execute(sa.select(sa.func.count()).where(log.status >= 400)).scalar_one()
        answered = connection.execute(sa.select(sa.func.count()).where(log.status == 200)).scalar_one()
        known = connection.execute(sa.select(sa.func.count()).select_from(outcomes)).scalar_one()
    assert failed == 0
    assert answered > 10_000
    assert known > 0.9 * min(answered, 109_582)


def test_served_equals_trained_on_the_whole_holdout(run):
    """Trainer to ONNX by the manifest's parity, ONNX to the server bit for bit: together within 1e-6."""
    training = next((run[0] / "pipeline_root").glob("flights-training-*"))
    folder = training / "train-model" / "candidate"
    manifest = read_contract(folder / "manifest.json", Manifest)
    assert 0 < manifest.parity_max_difference <= 1e-6
    model = load_model(folder)
    fields = {field.name: field.kind for field in model.signature.inputs}
    holdout = pq.read_table(training / "build-features" / "features" / "test.parquet", columns=list(fields))
    assert holdout.num_rows == manifest.rows["test"]
    offline = model.predict(
        columns_of(
            holdout,
            numbers=[name for name, kind in fields.items() if kind == "number"],
            categories=[name for name, kind in fields.items() if kind == "category"],
        )
    )
    with model_server(folder) as address:
        served = [
            prediction["probability"]
            for batch in holdout.to_batches(max_chunksize=10_000)
            for prediction in post(f"{address}/predict", {"instances": batch.to_pylist()})["predictions"]
        ]
    np.testing.assert_array_equal(np.float32(served), offline)


def test_the_report_stands_alone(run):
    page = (run[0] / "report.html").read_text()
    assert "rolled back" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert "<script" not in page


def test_status_for_scripts(run):
    rows = json.loads(interlock("status", "--state", run[0], "--json").stdout)
    assert [(row["version"], row["traffic"]) for row in rows if row["traffic"]] == [("2", 100)]


def test_a_quarantined_version_is_not_deployed_again(run, place, config, flights):
    registry = VertexModelRegistry(place, config.name)
    registry.set_alias("3", "staging")
    try:
        done = interlock("submit", "deployment", "-c", flights / "config.yaml", "--state", run[0])
    finally:
        registry.remove_alias("3", "staging")
    assert done.returncode != 0
    assert "quarantined" in done.stderr
    assert VertexEndpoint(place, config.name).read().traffic
    assert registry.find("production").version == "2"


def test_monitoring_reads_the_live_traffic(run, flights):
    done = interlock("submit", "monitoring", "-c", flights / "config.yaml", "--state", run[0])
    assert done.returncode == 0, done.stderr
