"""The pictures of README and docs, taken of a main job that really runs: `make screenshots`."""

import re
import time
from pathlib import Path

import pytest

LARGEST_BYTES = 200_000
WINDOW = {"width": 1120, "height": 760}
SECONDS_OF_LINES = 2


def newest(page, url, version):
    """The address of the newest rollout of ``version``."""
    page.goto(f"{url}/rollouts")
    return url + page.locator(f"tbody a:has-text('version {version}')").first.get_attribute("href")


def run_of(page, url, pipeline):
    """The address of the newest run of ``pipeline``."""
    page.goto(f"{url}/runs")
    return url + page.locator(f"tbody tr:has-text('{pipeline}') a").first.get_attribute("href")


@pytest.fixture(scope="session")  # as wide as the main job, which is not to run for nothing
def folder(request):
    given = request.config.getoption("--pictures")
    if not given:
        pytest.skip("--pictures FOLDER was not given")
    Path(given).mkdir(parents=True, exist_ok=True)
    return Path(given)


def taken(page, part, folder, name):
    """A picture of the first ``part`` of the page, of what is seen of the page where that is ''."""
    picture = folder / f"{name}.png"
    (page.locator(part).first if part else page).screenshot(path=picture)
    assert picture.stat().st_size < LARGEST_BYTES, f"{picture} has {picture.stat().st_size} bytes"


def is_measured_canary(page):
    """Whether two versions share the traffic, and both have requests, latency and the business metric."""
    rows = [row.split("\t") for row in page.locator("#versions tbody tr").all_inner_texts()]
    measured = len(rows) == 2 and all(re.match(r"\d", cell) for row in rows for cell in row[1:])
    return measured and rows[1][1] in {"25 %", "50 %"} and rows[1][2] != "0"


@pytest.mark.timeout(400)
def test_a_canary_is_pictured_while_it_runs(folder, main_job, open_page):
    pages = {scheme: open_page(color_scheme=scheme, viewport=WINDOW) for scheme in ("light", "dark")}
    for page in pages.values():
        page.goto(main_job.url)
    light, deadline = pages["light"], time.monotonic() + 300
    while light.locator("#now a:has-text('version 2 against version 1')").count() == 0:
        assert main_job.process.poll() is None, main_job.log.read_text()[-2000:]
        assert time.monotonic() < deadline, light.inner_text("main")
        light.wait_for_timeout(200)
    for page in pages.values():
        page.goto(f"{main_job.url}/endpoints/flights")
    while not is_measured_canary(light):
        assert time.monotonic() < deadline, light.inner_text("main")
        light.wait_for_timeout(200)
    light.wait_for_timeout(SECONDS_OF_LINES * 1000)
    assert light.locator("#split .candidate").count() > 0, "the canary was over before it could be pictured"
    for scheme, page in pages.items():
        taken(page, "", folder, f"endpoint-{scheme}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.timeout(600)
def test_pictures_are_taken(folder, finished_job, open_page, scheme):
    page, url = open_page(color_scheme=scheme, viewport=WINDOW, reduced_motion="reduce"), finished_job.url
    wanted = {
        "overview": (url, ""),
        "promoted": (newest(page, url, 2), "#evidence .chart svg"),
        "rolled-back": (newest(page, url, 3), "#evidence .chart svg"),
        "version": (f"{url}/models/flights/2", ""),
        "evaluation": (f"{url}/models/flights/2", ".curves"),
        "run": (run_of(page, url, "interlock-training"), "#graph"),
        "report": ((finished_job.state / "report.html").as_uri(), ""),
    }
    for name, (address, part) in wanted.items():
        page.goto(address)
        page.wait_for_selector("#live-state.on, main:not([data-live])")
        taken(page, part, folder, f"{name}-{scheme}")
