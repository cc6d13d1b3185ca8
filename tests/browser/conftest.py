"""Chromium, and what it looks at: processes as a person starts them, on free ports of loopback.

Nothing of Interlock is imported here: these tests run in an environment of their own (`make test-browser`) and know
the project by its command line and its pages only.
"""

import importlib.util
import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

# `make test` collects this folder too, where there is no browser to drive.
collect_ignore_glob = [] if importlib.util.find_spec("playwright") else ["test_*.py"]

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = Path(os.environ.get("INTERLOCK_ENVIRONMENTS", ROOT / ".venv"))
PYTHON, INTERLOCK = ENVIRONMENTS / "ml" / "bin" / "python", ENVIRONMENTS / "ml" / "bin" / "interlock"
AXE = ROOT / ".venv" / "browser" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_addoption(parser):
    parser.addoption("--pictures", metavar="FOLDER", help="write the pictures of the documentation into FOLDER")
    parser.addoption("--state", metavar="FOLDER", help="look at a main job that ran there, instead of running it")


def end(process):
    """SIGINT, as Ctrl-C would: what it started ends with it."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)


@contextmanager
def started(*command, log, **variables):
    """A process whose output goes to the file ``log``; ended with the block."""
    environment = os.environ | variables
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.PIPE,
            env=environment,
        )
    try:
        yield process
    finally:
        end(process)


def until(what, find, *, seconds, process=None, log=None):
    """What ``find`` finds, as soon as it does; fails when ``process`` ended or after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        told = log.read_text()[-2000:] if log else ""
        assert process is None or process.poll() is None, f"{what}: the process ended with {process.returncode}\n{told}"
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s\n{told}"
        time.sleep(0.2)
    return found


@contextmanager
def console_of(state, log):
    """The address of a console of the stack in ``state``."""
    with started(PYTHON, "-m", "interlock.console", "--state", state, log=log) as process:

        def address():
            line = log.read_text().partition("\n")
            return json.loads(line[0])["url"] if line[1] else None

        yield until("console", address, seconds=30, process=process, log=log)


class Watch:
    """All that a browser complains of, and every address it asked for."""

    def __init__(self):
        self.complaints, self.asked = [], []

    def follow(self, page):
        page.on("console", lambda message: self.complaints.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        return page

    def outside(self, origin):
        """Addresses that are neither the console's nor inside the page."""
        return [url for url in self.asked if not url.startswith((origin + "/", "data:", "about:"))]


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Without a profile of its own given, Playwright makes a fresh one and removes it.
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def open_page(chromium, watch):
    """A function that opens a page in a context of its own; ``watch`` follows it."""
    contexts = []

    def open_one(**options):
        context = chromium.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        context.set_default_timeout(20_000)
        contexts.append(context)
        return watch.follow(context.new_page())

    yield open_one
    for context in contexts:
        context.close()


class MainJob:
    """``interlock run``, which keeps its emulators, and a console beside it."""

    def __init__(self, process, state, url, log):
        self.process, self.state, self.url, self.log = process, state, url, log


@pytest.fixture(scope="session")
def main_job(tmp_path_factory, request):
    if request.config.getoption("--state"):
        pytest.skip("--state: the main job is over")
    folder = tmp_path_factory.mktemp("main-job")
    state, log = folder / "state", folder / "run.log"
    run = (INTERLOCK, "run", "examples/flights/run.yaml", "--state", state, "--keep")
    with started(*run, log=log) as process:
        until("stack", (state / "place.json").exists, seconds=60, process=process, log=log)
        try:
            with console_of(state, folder / "console.log") as url:
                yield MainJob(process, state, url, log)
        finally:
            end(process)
            subprocess.run([INTERLOCK, "down", "--state", state], timeout=60, check=True, capture_output=True)


@pytest.fixture(scope="session")
def finished_job(request, tmp_path_factory):
    """The main job when it is over; whatever watched it before has seen it end already."""
    if given := request.config.getoption("--state"):
        state = Path(given).resolve()
        subprocess.run([INTERLOCK, "up", "--state", state], timeout=120, check=True, capture_output=True)
        try:
            with console_of(state, tmp_path_factory.mktemp("console") / "console.log") as url:
                yield MainJob(None, state, url, None)
        finally:
            subprocess.run([INTERLOCK, "down", "--state", state], timeout=60, check=True, capture_output=True)
        return
    job = request.getfixturevalue("main_job")
    assert job.process.wait(timeout=400) == 0, job.log.read_text()[-2000:]
    yield job
