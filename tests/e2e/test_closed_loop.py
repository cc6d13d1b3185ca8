"""The loop closes with no hand on it: drift -> scheduled monitoring -> training -> gates -> canary -> promoted."""

import json
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import sqlalchemy as sa
import yaml

from interlock.config import load_config
from interlock.contracts import MonitoringReport, Place, read_contract
from interlock.monitoring.webhook import SIGNATURE, TIMESTAMP, is_genuine
from interlock.rehearsal.run import LiveTraffic
from interlock.rehearsal.scenario import Live
from interlock.rollout.history import production_changes, rollouts
from interlock.rollout.journal import Judged, Started
from interlock.submission import read_use_case
from interlock.vertex.client import service
from interlock.vertex.registry import VertexModelRegistry
from interlock.warehouse import monitoring_log, open_warehouse, rows_of

from .conftest import interlock

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SECRET = b"told to nobody"
DEADLINE_SECONDS = 240.0


class Receiver:
    """A webhook of somebody else's, over real HTTP: it refuses the first delivery, as busy services do."""

    def __init__(self):
        received = self.received = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append((dict(self.headers), body))
                self.send_response(503 if len(received) == 1 else 204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/alerts"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def receiver():
    there = Receiver()
    yield there
    there.close()


@pytest.fixture(scope="module")
def use_case(tmp_path_factory, flights, receiver):
    """The flights example, small and quick, with a policy: what drifts is trained again and deployed."""
    folder = tmp_path_factory.mktemp("loop")
    secret = folder / "webhook.secret"
    secret.touch(mode=0o600)
    secret.write_bytes(SECRET)
    config = yaml.safe_load((flights / "config.yaml").read_text())
    config["training"]["parameters"]["max_iter"] = 40
    config["gates"]["metrics"] = [{"metric": "auc", "at_least": 0.85}, {"metric": "recall", "at_least": 0.6}]
    config["gates"]["regression"] = [{"metric": "auc", "within": 0.02}, {"metric": "cost", "within": 0.1}]
    config["strategy"]["steps"] = [{"weight": 50, "margin": 0.6, "minimum_requests": 800, "deadline_seconds": 120}]
    config["post_deploy"] = {"minimum_requests": 500, "deadline_seconds": 30, "margin": 0.6}
    config["monitoring"] = {
        "minimum_rows": 1000,
        "drift_limit": 0.1,
        "actions": {"skew": ["train", "alert"], "score": ["alert"]},
        "retraining": {"start": "2013-05-01", "end": "2013-09-01"},
        "webhook": {"url": receiver.url, "secret": str(secret)},
    }
    shutil.copy(flights / "schema.pbtxt", folder)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return folder / "config.yaml"


@pytest.fixture(scope="module")
def loop(use_case, tmp_path_factory):
    """Version 1 from January to March meets the traffic of September to December; a schedule watches it."""
    state = tmp_path_factory.mktemp("state")
    done = interlock("up", "--state", state)
    assert done.returncode == 0, done.stderr
    try:
        place = read_contract(state / "place.json", Place)
        live = Live(start="2013-09-01", end="2014-01-01", order="shuffled", requests_per_second=400)
        (state / "traffic").mkdir()
        traffic = LiveTraffic(place, read_use_case(use_case), live, state)
        case = ("-c", use_case, "--state", state)
        done = interlock("submit", "training", *case, "--start", "2013-01-01", "--end", "2013-04-01", timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        with traffic.flowing():
            done = interlock("submit", "deployment", *case, timeout=300)
            assert done.returncode == 0, done.stdout + done.stderr
            done = interlock("schedule", *case, "--cron", "* * * * *", "--hours", "0.01")
            assert done.returncode == 0, done.stdout + done.stderr
            assert "/schedules/" in done.stdout
            yield place, wait_for_production(place, load_config(use_case).name, "2")
    finally:
        interlock("down", "--state", state)


def wait_for_production(place, name, version):
    """Seconds until ``version`` is in production and its rollout settled."""
    registry, began = VertexModelRegistry(place, name), time.monotonic()
    while time.monotonic() - began < DEADLINE_SECONDS:
        if registry.version_with("production") == version:
            return time.monotonic() - began
        time.sleep(0.5)
    jobs = service(place, "Pipeline").list_pipeline_jobs(parent=f"projects/{place.project}/locations/{place.location}")
    told = [(job.display_name, job.state.name, job.error.message) for job in jobs]
    pytest.fail(f"version {version} is not in production after {DEADLINE_SECONDS:g} s; jobs: {told}")


def test_what_drifted_was_trained_again_and_is_in_production(loop, use_case):
    place, seconds = loop
    name = load_config(use_case).name
    assert seconds < DEADLINE_SECONDS
    version = VertexModelRegistry(place, name).find("production")
    assert version.version == "2"
    assert version.description.startswith("2013-05-01 to 2013-09-01")
    last = production_changes(open_warehouse(place.warehouse), name)[-1]
    assert (last.version, last.reason) == ("2", "every step passed")


def test_the_canary_had_evidence(loop, use_case):
    place, _ = loop
    _, entries = rollouts(open_warehouse(place.warehouse), load_config(use_case).name)[-1]
    start = next(entry.event for entry in entries if isinstance(entry.event, Started))
    assert (start.champion_version, start.candidate_version) == ("1", "2")
    assert [e.event.action for e in entries if isinstance(e.event, Judged)][-1] == "continue"


def test_monitoring_ran_by_the_schedule_and_said_why(loop, use_case):
    place, _ = loop
    found = rows_of(open_warehouse(place.warehouse), sa.select(monitoring_log).order_by(monitoring_log.c.entry))
    trained = next(row for row in found if "train" in json.loads(row["actions"]))
    assert trained["model_version"] == "1"
    assert trained["verdict"] == "alert"
    reasons = json.loads(trained["detail"])["reasons"]
    assert any(reason.startswith("temp: divergence from its training rows") for reason in reasons)
    (schedule,) = service(place, "Schedule").list_schedules(
        parent=f"projects/{place.project}/locations/{place.location}"
    )
    assert schedule.display_name == "flights-monitoring"
    assert schedule.started_run_count >= 1


def test_somebody_was_told_in_a_way_that_can_be_checked(loop, receiver):
    (_, refused), (headers, body) = receiver.received[:2]
    assert refused == body  # delivered again after the 503
    assert is_genuine(SECRET, headers[TIMESTAMP], body, headers[SIGNATURE], now=float(headers[TIMESTAMP]))
    report = json.loads(body)
    assert report["contract"] == MonitoringReport.__struct_config__.tag
    assert report["verdict"] == "alert"
