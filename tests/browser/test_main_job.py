"""The main job, watched in the console from the first version to the rollback of the third."""

import re
import time

import pytest

RUN_SECONDS = 400
BOUND_SECONDS = 560


def number(text):
    """The first number of ``text``: ``1,234 of 40,000 allowed`` is 1234."""
    return int(re.search(r"[\d,]+", text).group().replace(",", ""))


def fact(page, name):
    """The value beside ``name`` in a description list, as it is now."""
    return page.locator("dt", has_text=name).first.locator("xpath=following-sibling::dd").inner_text()


def wait_for(page, what, job, seconds=RUN_SECONDS):
    """Wait for a selector while the job runs: a job that failed says so at once."""
    deadline = time.monotonic() + seconds
    while page.locator(what).count() == 0:
        assert job.process.poll() in {None, 0}, job.log.read_text()[-2000:]
        assert time.monotonic() < deadline, f"{what} was not seen; the page says\n{page.inner_text('main')}"
        page.wait_for_timeout(200)


@pytest.mark.slow
@pytest.mark.timeout(BOUND_SECONDS)
def test_a_person_watches_the_main_job_from_first_version_to_rollback(main_job, open_page, watch):
    page = open_page()
    page.goto(main_job.url)
    assert "Interlock" in page.title()

    # Nothing is loaded again by hand from here to the promotion: what shows up came over the stream.
    wait_for(page, "#runs tbody tr", main_job)
    wait_for(page, "#rollouts th a:has-text('version 1')", main_job)
    wait_for(page, "#now a:has-text('version 2 against version 1')", main_job)
    page.click("#now a:has-text('version 2 against version 1')")

    page.wait_for_selector(".step.here")
    wait_for(page, "#evidence svg", main_job)
    seen = [(number(fact(page, "Requests compared")), page.inner_html("#evidence svg"))]
    page.wait_for_function(
        "n => Number(document.querySelector('#plan').innerText.match(/both versions\\s+([\\d,]+)/)[1]"
        ".replaceAll(',', '')) > n",
        arg=seen[0][0],
    )
    seen.append((number(fact(page, "Requests compared")), page.inner_html("#evidence svg")))
    assert seen[1][0] > seen[0][0]
    assert seen[1][1] != seen[0][1], "the chart stood still while requests arrived"
    wait_for(page, "h1 .mark:has-text('promoted')", main_job)
    assert page.locator(".step.good").count() == page.locator(".step").count() > 1
    wait_for(page, "#announcement:has-text('promoted; production is version 2')", main_job)

    page.goto(f"{main_job.url}/endpoints/flights")
    wait_for(page, "#split svg[aria-label*='version 2 100 %']", main_job)
    page.wait_for_selector("#lines svg")

    page.goto(f"{main_job.url}/rollouts")
    wait_for(page, "tbody a:has-text('version 3')", main_job)
    page.click("tbody a:has-text('version 3')")
    wait_for(page, "h1 .mark:has-text('rolled back')", main_job)
    wait_for(page, "#announcement:has-text('production is version 2')", main_job)
    assert page.locator(".step.bad").count() == 1
    assert "e-value" in page.inner_text("#decisions") or ">" in page.inner_text("#decisions")
    assert page.locator("a:has-text('Roll back')").count() == 0, "there is nothing left to roll back"

    page.goto(f"{main_job.url}/history")
    rows = page.locator("tbody tr").all_inner_texts()
    assert ["version 2" in rows[0], "version 1" in rows[1]] == [True, True]

    assert main_job.process.wait(timeout=90) == 0, main_job.log.read_text()[-2000:]
    assert watch.complaints == []
    assert watch.outside(main_job.url) == []
