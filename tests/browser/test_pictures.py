"""The pictures of README and docs, taken of a main job that really ran: `make screenshots`."""

from pathlib import Path

import pytest

LARGEST_BYTES = 200_000
WINDOW = {"width": 1120, "height": 760}


def newest(page, url, version):
    """The address of the newest rollout of ``version``."""
    page.goto(f"{url}/rollouts")
    return url + page.locator(f"tbody a:has-text('version {version}')").first.get_attribute("href")


def run_of(page, url, pipeline):
    """The address of the newest run of ``pipeline``."""
    page.goto(f"{url}/runs")
    return url + page.locator(f"tbody tr:has-text('{pipeline}') a").first.get_attribute("href")


@pytest.fixture
def folder(request):
    given = request.config.getoption("--pictures")
    if not given:
        pytest.skip("--pictures FOLDER was not given")
    Path(given).mkdir(parents=True, exist_ok=True)
    return Path(given)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.timeout(600)
def test_pictures_are_taken(finished_job, open_page, folder, scheme):
    page, url = open_page(color_scheme=scheme, viewport=WINDOW, reduced_motion="reduce"), finished_job.url
    wanted = {
        "overview": (url, ""),
        "promoted": (newest(page, url, 2), "#evidence .chart"),
        "rolled-back": (newest(page, url, 3), "#evidence .chart"),
        "version": (f"{url}/models/flights/2", ""),
        "evaluation": (f"{url}/models/flights/2", ".curves"),
        "run": (run_of(page, url, "interlock-training"), "#graph"),
        "report": ((finished_job.state / "report.html").as_uri(), ""),
    }
    for name, (address, part) in wanted.items():
        page.goto(address)
        page.wait_for_selector("#live-state.on, main:not([data-live])")
        picture = folder / f"{name}-{scheme}.png"
        (page.locator(part).first if part else page).screenshot(path=picture)
        assert picture.stat().st_size < LARGEST_BYTES, f"{picture} has {picture.stat().st_size} bytes"
