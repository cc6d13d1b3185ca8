"""A Vertex AI place: judged as values, asked over real HTTP, and the emulator by the command itself."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from google.auth.credentials import AnonymousCredentials

from interlock.contracts import Place
from interlock.doctor.cloud import APIS, PERMISSIONS, TABLES, CloudFacts, judge_cloud
from interlock.doctor.finding import State, exit_status
from interlock.local import stack
from interlock.vertex.endpoint import VertexEndpoint
from interlock.vertex.inspection import GoogleRest, project_facts
from interlock.warehouse import metadata

ROOT = Path(__file__).parents[3]
COMMAND = Path(sys.executable).parent / "interlock"
PLACE = Place(
    project="p-123456", location="us-central1", bucket="b", warehouse="bigquery://p-123456/interlock_warehouse"
)
GOOD = CloudFacts(
    place=PLACE,
    emulator=False,
    account="me",
    enabled=list(APIS),
    permitted=list(PERMISSIONS),
    cpus=42,
    bucket_exists=True,
    tables=list(TABLES),
    images={"interlock-ml": True},
    model="flights",
    versions={"1": ["previous"], "2": ["production"]},
    endpoint={"1": 0, "2": 100},
    metrics={"cost": "cost", "errors": "counter"},
)


def test_every_table_of_the_warehouse_is_looked_for():
    assert set(TABLES) == set(metadata.tables)


def test_a_good_project():
    findings = judge_cloud(GOOD)
    assert {one.state for one in findings} == {State.OK}
    assert len(findings) == 10


@pytest.mark.parametrize(
    ("change", "check", "state", "words"),
    [
        ({"enabled": list(APIS[1:])}, "APIs", State.MISSING, APIS[0]),
        ({"enabled": None, "enabled_problem": "403: no"}, "APIs", State.UNKNOWN, "403: no"),
        ({"permitted": list(PERMISSIONS[1:])}, "roles", State.MISSING, PERMISSIONS[0]),
        ({"permitted": None}, "roles", State.UNKNOWN, ""),
        ({"cpus": 4}, "quota", State.MISSING, "4 CPUs"),
        ({"cpus": None}, "quota", State.WARNING, ""),
        ({"bucket_exists": False}, "bucket", State.MISSING, "gs://b"),
        ({"bucket_exists": None, "bucket_problem": "refused"}, "bucket", State.UNKNOWN, "refused"),
        ({"tables": None, "warehouse_problem": "no dialect"}, "warehouse", State.MISSING, "no dialect"),
        ({"tables": ["outcomes"]}, "warehouse", State.MISSING, "rollout_journal"),
        ({"images": {"interlock-ml": False}}, "images", State.MISSING, "interlock-ml"),
        ({"images": None, "images_problem": "403"}, "images", State.UNKNOWN, "403"),
        ({"versions": {}}, "model flights", State.WARNING, "no version"),
        ({"versions": None, "versions_problem": "down"}, "model flights", State.UNKNOWN, "down"),
        ({"endpoint": None}, "endpoint flights", State.WARNING, "does not exist"),
        ({"endpoint": {}}, "endpoint flights", State.WARNING, "nothing is deployed"),
        ({"endpoint_problem": "down"}, "endpoint flights", State.UNKNOWN, "down"),
        ({"metrics": {"cost": "cost", "late": "slow"}}, "metrics", State.MISSING, "late: neither latency"),
        ({"endpoint": {"1": 100, "2": 0}}, "endpoint flights", State.WARNING, "production is on 2"),
    ],
)
def test_each_fault_is_found_and_has_a_remedy(change, check, state, words):
    found = {one.check: one for one in judge_cloud(msgspec.structs.replace(GOOD, **change))}
    assert found[check].state == state
    assert words in found[check].found
    assert found[check].mend
    assert exit_status(list(found.values())) == (0 if state == State.WARNING else 1)


def test_the_remedy_for_a_missing_permission_names_who_and_which_role():
    lacking = [one for one in PERMISSIONS if not one.startswith("bigquery")]
    for account, member in (("ci@p.iam.gserviceaccount.com", "serviceAccount:ci@p.iam"), ("", "user:YOU")):
        facts = msgspec.structs.replace(GOOD, permitted=lacking, account=account)
        found = next(one for one in judge_cloud(facts) if one.check == "roles")
        assert f"--member {member}" in found.mend
        assert found.mend.endswith("--role roles/bigquery.jobUser")


def test_without_credentials_nothing_else_is_said():
    findings = judge_cloud(msgspec.structs.replace(GOOD, credentials_problem="none found"))
    assert [one.check for one in findings] == ["credentials"]
    assert findings[0].state == State.MISSING


class Google(BaseHTTPRequestHandler):
    """Answers in the shapes of Google's REST references."""

    def do_GET(self):
        if self.path.startswith("/serviceusage/v1/"):
            state = [{"config": {"name": api}, "state": "ENABLED" if i else "DISABLED"} for i, api in enumerate(APIS)]
            return self.answer(200, {"services": state})
        if self.path.startswith("/serviceusage/v1beta1/"):
            buckets = [{"effectiveLimit": "8"}, {"effectiveLimit": "24", "dimensions": {"region": "us-central1"}}]
            return self.answer(200, {"consumerQuotaLimits": [{"quotaBuckets": buckets}]})
        if self.path.endswith("/packages/interlock-ml"):
            return self.answer(200, {"name": "interlock-ml"})
        if self.path.endswith("/packages/interlock-data"):
            return self.answer(404, {"error": {"message": "no such package"}})
        return self.answer(500, {"error": {"message": self.path}})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/cloudresourcemanager/v3/projects/p-123456:testIamPermissions":
            return self.answer(200, {"permissions": asked["permissions"][:3]})
        return self.answer(403, {"error": {"message": "denied"}})

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture
def google():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Google)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/{{service}}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_project_is_read(google):
    rest = GoogleRest(AnonymousCredentials(), google)
    facts = project_facts(PLACE, "", ["interlock-ml", "interlock-data"], rest, "me")
    assert facts.enabled == list(APIS[1:])
    assert facts.permitted == list(PERMISSIONS[:3])
    assert facts.cpus == 24
    assert facts.images == {"interlock-ml": True, "interlock-data": False}


def test_a_refusal_is_a_fact(google):
    place = msgspec.structs.replace(PLACE, project="other")
    facts = project_facts(place, "", ["interlock-serve"], GoogleRest(AnonymousCredentials(), google), "me")
    assert facts.permitted is None
    assert facts.permitted_problem == "403: denied"
    assert facts.images is None
    assert facts.images_problem.startswith("500: ")


def test_nobody_answers():
    rest = GoogleRest(AnonymousCredentials(), "http://127.0.0.1:9/{service}")
    assert "does not answer" in project_facts(PLACE, "", [], rest, "me").credentials_problem


# --- the emulator ---------------------------------------------------------------------------------------------------


def doctor(*arguments: str) -> tuple[int, dict[str, dict]]:
    done = subprocess.run(
        [COMMAND, "doctor", "--vertex", "--json", *arguments], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, {one["check"]: one for one in json.loads(done.stdout)["vertex"]}


def test_no_emulator_and_no_place(tmp_path):
    status, found = doctor(f"--state={tmp_path}")
    assert status == 1
    assert found["place"]["mend"].startswith("interlock up")


def test_a_place_file_that_is_none(tmp_path):
    for text in (None, "{}", '{"contract": "place/v1", "project": 1}'):
        if text is not None:
            (tmp_path / "place.json").write_text(text)
        config = f"--config={ROOT / 'examples/flights/config.yaml'}"
        rollback = [COMMAND, "rollback", config, f"--place={tmp_path / 'place.json'}"]
        done = subprocess.run(rollback, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2
        assert "docs/google-cloud.md says how to write it" in done.stderr


def test_the_emulator_as_it_stands_and_with_its_warehouse_gone(tmp_path):
    running = stack.up(tmp_path)
    try:
        config = f"--config={ROOT / 'examples/flights/config.yaml'}"
        status, found = doctor(f"--state={tmp_path}", config)
        assert status == 0
        assert found["bucket"]["state"] == "ok"
        assert found["warehouse"]["state"] == "ok"
        assert found["model flights"]["found"] == "no version yet"
        assert found["endpoint flights"]["found"].startswith("does not exist yet")

        VertexEndpoint(running, "flights").ensure()
        status, found = doctor(f"--state={tmp_path}", config)
        assert (status, found["endpoint flights"]["found"]) == (0, "nothing is deployed on it")

        history = [COMMAND, "history", config, "--json", f"--place={tmp_path / 'place.json'}", "--state=/nonexistent"]
        done = subprocess.run(history, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr

        place = json.loads((tmp_path / "place.json").read_text())
        elsewhere = {"bucket": "no-such-bucket", "warehouse": "sqlite:////no/x.db"}
        (tmp_path / "other.json").write_text(json.dumps(place | elsewhere))
        status, found = doctor(f"--state={tmp_path}", f"--place={tmp_path / 'other.json'}")
        assert status == 1
        assert found["bucket"]["state"] == "missing"
        assert found["warehouse"]["state"] == "missing"
    finally:
        stack.down(tmp_path)
