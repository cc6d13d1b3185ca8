"""The console of a real stack: every page, live updates, and the rollback button, over HTTP."""

import http.client
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import msgspec
import pytest

from interlock.config import config_sha256, parse_config
from interlock.contracts import DataVerdict, Evaluation, GateReport, Manifest, Measure, Place, RuleResult, read_contract
from interlock.rehearsal.actor import outcome
from interlock.rehearsal.stage import CONFIG, Stage
from interlock.rollout.emergency import shares
from interlock.vertex.artifacts import upload_folder
from interlock.vertex.client import parent, service
from interlock.vertex.rollout import open_rollout
from interlock.warehouse import open_warehouse, outcomes

from .conftest import INTERLOCK

HOSTILE = "<script>alert(1)</script>"


class Browser:
    """Plain HTTP as a browser would send it."""

    def __init__(self, url):
        self.host = urlsplit(url).netloc

    def send(self, method, path, body="", **headers):
        connection = http.client.HTTPConnection(self.host, timeout=60)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body or None, headers={"Host": self.host, **names})
        answer = connection.getresponse()
        return answer, answer.read().decode()

    def get(self, path, status=200, **headers):
        answer, text = self.send("GET", path, **headers)
        assert answer.status == status, text
        return text

    def post(self, path, form, **headers):
        about = {"Content_Type": "application/x-www-form-urlencoded", "Origin": f"http://{self.host}"}
        return self.send("POST", path, urlencode(form), **(about | headers))

    def events(self, path):
        """JSON of every event on the page's stream, as long as it is asked for."""
        connection = http.client.HTTPConnection(self.host, timeout=30)
        connection.request("GET", f"/live?page={path}", headers={"Host": self.host})
        answer = connection.getresponse()
        assert answer.headers["content-type"].startswith("text/event-stream")
        try:
            while line := answer.readline():
                if line.startswith(b"data: {"):
                    yield json.loads(line.removeprefix(b"data: "))["parts"]
        finally:
            connection.close()


def actors(root):
    """An environment whose model server is an actor: a version is deployed in a second, without a model."""
    python = root / "ml" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f'#!/bin/sh\ncase "$*" in\n*interlock.serving*) exec {sys.executable} -m interlock.rehearsal.actor;;\n'
        f'*) exec {sys.executable} "$@";;\nesac\n'
    )
    python.chmod(0o755)
    return root


def write_version(folder, digest):
    """The files of a version, as training leaves them."""
    measures = [Measure(metric=m, n=900, value=0.9, low=0.88, high=0.92) for m in ("auc", "cost")]
    measures.append(Measure(metric="auc", slice=f"kind={HOSTILE}", n=90, value=0.8, low=0.7, high=0.9))
    rule = RuleResult(gate="metrics", rule="auc", value=0.9, limit=0.5, verdict="pass", reason=f"0.9 >= 0.5 {HOSTILE}")
    files = {
        "manifest.json": Manifest(
            name="stage",
            model_sha256=digest,
            signature_sha256="s" * 64,
            features_sha256="f" * 64,
            table_sha256="t" * 64,
            config_sha256=config_sha256(CONFIG),
            config=CONFIG,
            seed=7,
            window=["2024-01", "2024-06"],
            rows={"train": 8000, "test": 1000},
            git_revision=HOSTILE,
        ),
        "data_verdict.json": DataVerdict(
            passed=True, rows=9000, features=1, table_sha256="t" * 64, schema_sha256="c" * 64
        ),
        "evaluation.json": Evaluation(
            model_sha256=digest,
            test_sha256="x" * 64,
            champion="",
            rows=1000,
            threshold=0.5,
            measures=measures,
            comparisons=[],
            confusion=[[800, 50], [50, 100]],
            roc=[[0.9, 0.1, 0.5], [0.1, 0.6, 0.95]],
            score_deciles=[k / 10 for k in range(1, 10)],
            latency_requests=500,
            latency_p50_ms=1.0,
            latency_p99_ms=2.0,
            champion_latency_p99_ms=None,
            size_bytes=1000,
            load_seconds=0.1,
        ),
        "gate_report.json": GateReport(passed=True, model_sha256=digest, champion="", rules=[rule]),
    }
    folder.mkdir()
    for name, contract in files.items():
        (folder / name).write_bytes(msgspec.json.encode(contract))
    return folder


def upload(stage, folder, digest):
    """Register a version with its files in the bucket; it plays ``sound``."""
    from google.cloud import aiplatform_v1 as v1

    uri = upload_folder(stage.place, write_version(folder, digest), f"models/stage/{digest}")
    model = v1.Model(
        display_name="stage",
        artifact_uri=uri,
        version_description=HOSTILE,
        container_spec=v1.ModelContainerSpec(
            image_uri="interlock-ml",
            predict_route="/predict",
            health_route="/health",
            env=[v1.EnvVar(name="ACTOR_PART", value="sound")],
        ),
    )
    name = f"{parent(stage.place)}/models/stage"
    which = {"parent_model": name} if stage.registry.versions() else {"model_id": "stage"}
    request = v1.UploadModelRequest(parent=parent(stage.place), model=model, **which)
    answer = service(stage.place, "Model").upload_model(request).result(timeout=60)
    return stage.registry.find(answer.model_version_id)


def send_traffic(stage, requests, prefix):
    """Requests through the endpoint, and what became of them."""
    rows = [{"row_key": f"{prefix}-{k}", "x": (k % 10) / 10} for k in range(requests)]
    for row in rows:
        stage.endpoint.predict([row])
    known = [{"row_key": row["row_key"], "outcome": outcome(row["x"]), "time": time.time()} for row in rows]
    with open_warehouse(stage.place.warehouse).begin() as connection:
        connection.execute(outcomes.insert(), known)


class Ground:
    """A stack with two versions, the first in production, and the console `interlock up` started."""

    def __init__(self, folder, state, url):
        self.state, self.browser = state, Browser(url)
        self.stage = Stage(read_contract(state / "place.json", Place), parse_config(CONFIG, "stage"))
        self.versions = [upload(self.stage, folder / (digest * 8), digest * 64) for digest in "ab"]
        self.deployed = self.stage.ready(*self.versions)

    def rollout(self, id_):
        """A canary of version 2 against version 1, in its first step."""
        rollout = open_rollout(self.stage.place, self.stage.config, id_)
        rollout.begin("1", "2", *self.deployed)
        rollout.shift(0)
        return f"/rollouts/{id_}"

    def shares(self):
        return shares(self.stage.endpoint.read())


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    folder = tmp_path_factory.mktemp("console")
    state = folder / "state"
    variables = {"INTERLOCK_ENVIRONMENTS": str(actors(folder / "environments")), "INTERLOCK_WARM": "0"}
    command = ["env", *(f"{name}={value}" for name, value in variables.items()), str(INTERLOCK)]
    up = subprocess.run([*command, "up", "--state", str(state)], capture_output=True, text=True, timeout=90, check=True)
    try:
        yield Ground(folder, state, re.search(r"console\s+(http://127\.0\.0\.1:\d+)", up.stdout).group(1))
    finally:
        down = subprocess.run(
            [*command, "down", "--state", str(state)], capture_output=True, text=True, timeout=60, check=True
        )
        assert "console" in down.stdout
        assert not (state / "console.json").exists()


@pytest.fixture(scope="module")
def canary(ground):
    path = ground.rollout("4711")
    send_traffic(ground.stage, 40, "canary")
    return path


def token(text):
    return re.search(r'name="token" value="([0-9a-f]+)"', text).group(1)


def test_every_page_shows_its_subject(ground, canary):
    get = ground.browser.get
    assert "stage: version 2 against version 1 is in step 1 with 30 % of the traffic" in get("/")
    assert "version 2" in get("/models")
    assert "0.88" in get("/models/stage")
    version = get("/models/stage/2")
    assert "Lineage" in version
    assert "ROC curve" in version
    assert 'href="/rollouts/4711"' in version
    assert "Traffic: version 1 70 %, version 2 30 %" in get("/endpoints")
    assert "No schedule yet" in get("/schedules")
    assert "No pipeline has run yet" in get("/runs")
    assert "in step 1" in get(canary)
    assert "to its deadline" in get(canary)
    assert 'href="/rollouts/4711/rollback"' in get(canary)


def test_an_endpoint_shows_the_traffic_that_arrives(ground, canary):
    deadline = time.monotonic() + 20
    while "of 40" not in (text := re.sub("<[^>]+>", " ", ground.browser.get("/endpoints/stage"))):
        found = [int(n) for n in re.findall(r"\bof (\d+)", text)]
        if sum(found) == 40:
            break
        assert time.monotonic() < deadline, text
        time.sleep(0.2)
    assert "Requests (per second)" in text


@pytest.mark.parametrize("path", ["/", "/models", "/models/stage", "/models/stage/2", "/rollouts/4711", "/history"])
def test_nothing_from_outside_becomes_markup(ground, canary, path):
    text = ground.browser.get(path)
    assert HOSTILE not in text
    assert re.findall("<script[^>]*>", text) == ['<script src="/static/console.js" defer>']


@pytest.mark.parametrize("path", ["/", "/nowhere", "/static/console.js", "/static/style.css"])
def test_every_answer_carries_the_policy(ground, path):
    answer, _ = ground.browser.send("GET", path)
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/models/none", "/models/stage/9", "/models/stage/production", "/endpoints/none", "/runs/none"]
)
def test_what_is_not_there_is_a_page_that_says_so(ground, path):
    assert "there is no" in ground.browser.get(path, status=404)


def test_a_foreign_name_gets_nothing(ground):
    assert "does not answer" in ground.browser.get("/", status=421, Host="evil.example")


def test_cross_site_writes_change_nothing(ground, canary):
    before = ground.shares()
    form = {"token": token(ground.browser.get(f"{canary}/rollback")), "reason": "evil"}
    for path, given, headers in [
        (f"{canary}/rollback", form, {"Origin": "http://evil.example"}),
        (f"{canary}/rollback", form, {"Origin": "null"}),
        (f"{canary}/rollback", form, {"Sec_Fetch_Site": "cross-site"}),
        (f"{canary}/rollback", {**form, "token": "guess"}, {}),
        (f"{canary}/rollback", {"reason": "no token"}, {}),
    ]:
        answer, text = ground.browser.post(path, given, **headers)
        assert (answer.status, text[:7]) == (403, "refused")
    answer, _ = ground.browser.send("GET", f"{canary}/rollback?{urlencode(form)}")
    assert answer.status == 200  # asks, and does nothing
    assert ground.shares() == before == {"1": 70, "2": 30}


def test_rollback_button_asks_once_and_the_page_follows(ground, canary):
    events = ground.browser.events(canary)
    assert "in step 1" in next(events)["standing"]
    asked = ground.browser.get(f"{canary}/rollback")
    assert "goes back to version 1" in asked
    answer, _ = ground.browser.post(f"{canary}/rollback", {"token": token(asked), "reason": HOSTILE})
    assert (answer.status, answer.headers["location"]) == (303, canary)
    assert ground.shares() == {"1": 100}
    assert ground.stage.registry.version_with("production") == "1"
    assert ground.stage.registry.version_with("quarantined-2") == "2"
    assert any("rolled back" in parts.get("title", "") for parts in events)
    page = ground.browser.get(canary)
    assert "ordered in the console: &lt;script&gt;" in page
    assert "/rollback" not in page
    assert "before the rollout" in ground.browser.get("/history")


def test_a_second_rollback_is_refused(ground, canary):
    answer, text = ground.browser.send("GET", f"{canary}/rollback")
    assert answer.status == 409
    assert "can no longer be rolled back" in text


def test_up_finds_the_console_that_runs(ground):
    again = subprocess.run(
        [str(INTERLOCK), "up", "--state", str(ground.state)], capture_output=True, text=True, timeout=60, check=True
    )
    assert ground.browser.host in again.stdout


CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if Path(path).exists()), "")


@pytest.mark.skipif(not CHROMIUM, reason="no chromium: what only a browser does with the console is not tested")
def test_a_person_rolls_back_in_a_browser_while_another_watches(ground):
    """Real origin, policy and script: headers that would make a browser refuse our own form show here."""
    browsers = pytest.importorskip("playwright.sync_api", reason="no playwright: the console was not seen in a browser")
    ground.deployed = ground.stage.ready(*ground.versions)
    address = f"http://{ground.browser.host}{ground.rollout('4712')}"
    said = []
    with browsers.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        person, watcher = browser.new_page(), browser.new_page()
        for page in (person, watcher):
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.goto(address)
        person.get_by_role("link", name="Roll back").click()
        person.get_by_label("Why").fill(HOSTILE)
        person.get_by_role("button", name="Roll back now").click()
        person.wait_for_url(address)
        assert "rolled back" in person.inner_text("h1")
        watcher.bring_to_front()
        watcher.wait_for_selector("h1 .bad", timeout=20_000)
        assert "rolled back" in watcher.inner_text("#announcement")
        browser.close()
    assert said == []
    assert ground.shares() == {"1": 100}
