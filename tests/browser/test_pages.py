"""Every kind of page: accessible in light and dark, readable on a phone, silent, and asking nobody outside."""

import re
from urllib.parse import urlsplit

import pytest

from .conftest import AXE

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RULES = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "resultTypes": ["violations"]}
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
TASK = re.compile(r"(/runs/N)/[a-z0-9-]+/log")
NUMBER = re.compile(r"/(\d+|[a-z0-9-]+-\d{8,}[-\d]*)(?=/|$)")
MOST_OF_A_KIND = {"/runs/N": 2, "/rollouts/N": 3}  # of the others one


def kind(path):
    """Pages of one kind have one pattern: ``/rollouts/17`` and ``/rollouts/18`` are ``/rollouts/N``."""
    return TASK.sub(r"\1/T/log", NUMBER.sub("/N", path))


def pages_of(page, url):
    """Addresses of the console reached from its first page, few of each kind."""
    known, waiting, kinds = [], ["/"], {}
    while waiting:
        path = waiting.pop(0)
        if path in known or kinds.get(kind(path), 0) >= MOST_OF_A_KIND.get(kind(path), 1):
            continue
        kinds[kind(path)] = kinds.get(kind(path), 0) + 1
        known.append(path)
        page.goto(url + path)
        found = page.eval_on_selector_all("a[href]", "links => links.map(link => link.getAttribute('href'))")
        waiting += [urlsplit(link).path for link in found if link.startswith("/") and not link.endswith("/report")]
    return known


def violations(page, opened="details"):
    """What axe finds with details open, a line each: in light by all rules, in dark again by those about colours."""
    page.evaluate("which => document.querySelectorAll(which).forEach(one => { one.open = true; })", opened)
    page.evaluate(AXE.read_text())  # page.add_script_tag would need a hole in the page's own policy
    found = []
    for scheme, rules in (("light", RULES), ("dark", COLOURS)):
        page.emulate_media(color_scheme=scheme)
        seen = page.evaluate("rules => axe.run(document, {...rules, iframes: false})", rules)["violations"]
        lines = [f"{one['id']}: {one['help']}: {node['html'][:160]}" for one in seen for node in one["nodes"]]
        found += [f"{scheme}: {line}" for line in lines]
    return found


def listed(found):
    """Violations for people: each once, with the first page that has it."""
    first = {}
    for path, lines in found.items():
        for line in lines:
            first.setdefault(line, path)
    return "\n".join(f"{path}: {line}" for line, path in first.items())


@pytest.fixture(scope="module")
def addresses(finished_job, chromium):
    """Every kind of page there is after the main job."""
    context = chromium.new_context()
    try:
        return pages_of(context.new_page(), finished_job.url)
    finally:
        context.close()


def test_every_area_is_reached_by_links(addresses):
    kinds = {kind(path) for path in addresses}
    assert {"/", "/models", "/models/flights", "/models/flights/N", "/endpoints", "/endpoints/flights"} <= kinds
    assert {"/rollouts", "/rollouts/N", "/runs", "/runs/N", "/schedules", "/history"} <= kinds
    assert any(path.endswith("/log") for path in kinds)


@pytest.mark.slow
def test_axe_finds_nothing_on_any_page(finished_job, addresses, open_page, watch):
    page = open_page(reduced_motion="reduce")
    found = {}
    for path in addresses:
        page.goto(finished_job.url + path)
        if seen := violations(page):
            found[path] = seen
    assert not found, listed(found)
    assert watch.complaints == []
    assert watch.outside(finished_job.url) == []


def test_no_page_is_wider_than_a_phone(finished_job, addresses, open_page):
    page = open_page(**PHONE)
    wide = {}
    for path in addresses:
        page.goto(finished_job.url + path)
        width = page.evaluate("document.scrollingElement.scrollWidth")
        if width > PHONE["viewport"]["width"]:
            wide[path] = width
    assert wide == {}


def test_dark_and_light_differ(finished_job, open_page):
    shades = set()
    for scheme in ("light", "dark"):
        page = open_page(color_scheme=scheme)
        page.goto(finished_job.url)
        shades.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(shades) == 2


def test_a_screen_reader_finds_one_heading_landmarks_and_the_announcement(finished_job, addresses, open_page):
    page = open_page()
    for path in addresses:
        page.goto(finished_job.url + path)
        assert page.locator("h1").count() == 1, path
        assert page.get_by_role("main").count() == 1, path
        assert page.get_by_role("navigation", name="Areas").count() == 1, path
        assert page.locator("#announcement[role=status]").count() == 1, path


def test_an_html_artifact_is_shown_in_a_frame_without_rights(finished_job, addresses, open_page, watch):
    page = open_page()
    for path in addresses:
        page.goto(finished_job.url + path)
        if page.locator("iframe").count():
            break
    frame = page.locator("iframe").first
    assert frame.get_attribute("sandbox") == ""
    frame.evaluate("frame => { frame.closest('details').open = true; frame.scrollIntoView(); }")
    page.frame_locator("iframe").first.locator("main").wait_for()
    assert page.evaluate("document.querySelector('iframe').contentDocument") is None, "the frame is of another origin"
    assert watch.complaints == []
    assert watch.outside(finished_job.url) == []


def test_metrics_of_a_training_run_are_drawn_where_they_were_measured(finished_job, open_page):
    page = open_page()
    page.goto(f"{finished_job.url}/runs")
    page.click("tbody tr:has-text('interlock-training') a")
    task = page.locator("#task-evaluate-model")
    assert task.get_by_role("img", name="ROC curve").is_visible()
    assert task.get_by_role("table", name="Confusion").get_by_role("row").count() == 3
    assert float(task.locator("dt:text-is('auc') + dd").inner_text()) > 0.5


def test_the_report_is_whole_without_a_network_and_axe_finds_nothing(finished_job, open_page, watch):
    report = (finished_job.state / "report.html").as_uri()
    page = open_page(offline=True)
    page.goto(report)
    found = violations(page, opened="#version-2 details, #rollout-2 details")  # those of the others are alike, and long
    assert not found, listed({"report.html": found})
    page = open_page(**PHONE)
    page.goto(report)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= PHONE["viewport"]["width"]
    assert watch.complaints == []
    assert set(watch.asked) == {report}
