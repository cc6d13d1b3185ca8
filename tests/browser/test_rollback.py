"""The rollback button, by keyboard and by strangers; and names that would like to be markup."""

import json
import subprocess

import pytest

from .conftest import PYTHON, ROOT, end

HOSTILE = "<script>alert(1)</script>"


class Stage:
    """tests/e2e/console_stage.py as a process: two versions with hostile names, and canaries on order."""

    def __init__(self, process):
        self.process = process
        self.url = self.read()["url"]

    def read(self):
        line = self.process.stdout.readline()
        assert line, "the stage ended; its output is above"
        return json.loads(line)

    def order(self, *words):
        """Do it, and what it says."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.read()


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stage")
    command = [PYTHON, ROOT / "tests" / "e2e" / "console_stage.py", folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Stage(process)
            process.stdin.close()
            process.wait(timeout=60)
        finally:
            end(process)


@pytest.fixture(scope="module")
def canary(stage):
    """The page of a rollout under way, which nobody may end: one at a time is all that an endpoint takes."""
    return stage.order("rollout", 4800)["path"]


def press_until(page, focused, *, key="Tab", most=60):
    """Press ``key`` until the element in focus matches ``focused``."""
    for _ in range(most):
        page.keyboard.press(key)
        if page.evaluate("what => document.activeElement.matches(what)", focused):
            return
    raise AssertionError(f"{most} times {key} do not reach {focused}")


def test_the_keyboard_alone_rolls_back_and_is_asked_once_while_another_watches(stage, open_page, watch):
    path = stage.order("rollout", 4712)["path"]
    stage.order("requests", 40)
    assert stage.order("shares") == {"1": 70, "2": 30}
    person, watcher = open_page(), open_page()
    asked = []
    person.on("request", lambda request: asked.append(request.method))
    for page in (person, watcher):
        page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
        page.goto(stage.url + path)
    person.wait_for_selector("#live-state.on")

    press_until(person, "a.danger")
    person.keyboard.press("Enter")
    person.wait_for_url(f"**{path}/rollback")
    assert "goes back to version 1" in person.inner_text("main")
    assert stage.order("shares") == {"1": 70, "2": 30}, "asking changed something"
    press_until(person, "#reason")
    person.keyboard.type(HOSTILE)
    press_until(person, "button[type=submit]", most=2)
    person.keyboard.press("Enter")
    person.wait_for_url(stage.url + path)
    assert "rolled back" in person.inner_text("h1")
    assert person.locator("a.danger").count() == 0
    assert asked.count("POST") == 1, "it asked more than once"

    watcher.bring_to_front()
    watcher.wait_for_selector("h1 .bad")
    watcher.wait_for_selector("#announcement:has-text('rolled back')")
    assert HOSTILE in watcher.inner_text("#decisions")
    assert stage.order("shares") == {"1": 100}
    assert watch.complaints == []
    assert watch.outside(stage.url) == []


def test_focus_is_seen_and_the_first_tab_skips_to_the_content(stage, open_page):
    page = open_page()
    page.goto(stage.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    press_until(page, "main a")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("way", ["form", "fetch"])
def test_a_page_of_another_site_cannot_roll_back(stage, canary, open_page, way):
    """What an attacker has: the address, and the browser of a person who has the console open."""
    before = stage.order("shares")
    page = open_page()
    page.goto(stage.url + canary)
    address = f"{stage.url}{canary}/rollback"
    evil = open_page()
    body = f'<form method="post" action="{address}"><input name="token" value="guess"><button>win</button></form>'
    evil.route("http://evil.example/", lambda route: route.fulfill(body=body, content_type="text/html"))
    evil.goto("http://evil.example/")
    if way == "form":
        with evil.expect_response(address) as answer:
            evil.click("button")
        assert answer.value.status == 403
        assert "another site" in evil.inner_text("body")
    else:
        sent = "address => fetch(address, {method: 'POST', mode: 'no-cors', body: 'token=guess'}).then(r => r.type)"
        assert evil.evaluate(f"({sent})({json.dumps(address)}).catch(error => 'refused')") in {"opaque", "refused"}
        read = "address => fetch(address).then(() => 'read', () => 'refused')"
        assert evil.evaluate(read, address) == "refused", "another site can read the token"
    assert stage.order("shares") == before == {"1": 70, "2": 30}


def test_the_console_cannot_be_framed(stage, open_page):
    evil = open_page()
    body = f'<iframe src="{stage.url}/"></iframe>'
    evil.route("http://evil.example/", lambda route: route.fulfill(body=body, content_type="text/html"))
    evil.goto("http://evil.example/")
    evil.wait_for_timeout(500)
    assert all("Interlock" not in frame.title() for frame in evil.frames)


@pytest.mark.parametrize(
    "path", ["/", "/models", "/models/stage", "/models/stage/2", "/endpoints/stage", "/rollouts/4712", "/schedules"]
)
def test_hostile_names_are_only_text(stage, open_page, watch, path):
    page = open_page()
    page.on("dialog", lambda dialog: pytest.fail(f"the script ran: {dialog.message}"))
    page.goto(stage.url + path)
    page.wait_for_selector("#live-state.on, main:not([data-live])")
    page.wait_for_timeout(1200)  # once by the server, once more by the stream
    assert page.evaluate("[...document.scripts].map(script => script.src)") == [f"{stage.url}/static/console.js"]
    if path in {"/models", "/models/stage", "/models/stage/2", "/rollouts/4712", "/schedules"}:
        assert HOSTILE in page.inner_text("main")
    assert watch.complaints == []
