"""The console of a real stack: every page, live updates, and the rollback button, over HTTP.

What only a browser does is in tests/browser.
"""

import http.client
import json
import re
import subprocess
import time
from urllib.parse import urlencode, urlsplit

import pytest

from .console_stage import HOSTILE, INTERLOCK, opened, send_traffic


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


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("console")) as ground:
        ground.browser = Browser(ground.url)
        yield ground


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
