"""The page answers every question that was asked, says why, escapes what it is given, and loads nothing."""

import re
from html.parser import HTMLParser
from typing import get_args

import pytest

from interlock.config.monitoring import CheckName
from interlock.contracts import MonitoringAction, MonitoringCheck, MonitoringReport
from interlock.report.monitoring_page import QUESTIONS, render_monitoring

from .conftest import NOW

VOID = {"meta", "br", "use", "path"}


def check(kind, status="ok", about="", value=None, limit=None, reason="1 <= 2"):
    return MonitoringCheck(check=kind, about=about, status=status, value=value, limit=limit, reason=reason)


def page(*checks, verdict="ok", actions=()):
    reasons = [each.reason for each in checks if each.status != "ok"]
    return render_monitoring(
        MonitoringReport(
            endpoint="shop", version="7", since=NOW - 3600, until=NOW, requests=2000, failed=30, with_outcome=1500,
            cost=0.41, expected_cost=0.4, score_divergence=0.001, verdict=verdict, reasons=reasons,
            checks=list(checks), versions={"7": 2000}, actions=list(actions),
        )
    )  # fmt: skip


def words(html):
    """The text of the page, as one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html[html.index("<body") :]))


def test_every_kind_of_check_is_a_question():
    assert set(QUESTIONS) == set(get_args(CheckName))
    told = words(page(*map(check, QUESTIONS)))
    assert all(asked in told for asked in QUESTIONS.values())
    assert f"trained and evaluated: {len(QUESTIONS)} checks, no alarm" in told


def test_an_alarm_is_told_first_and_decides_its_question():
    moved = [
        check("skew", about="x", value=0.1, limit=0.2),
        check("skew", "alarm", "kind", 0.5, 0.2, "kind: 0.5 > 0.2"),
    ]
    told = words(page(*moved, check("errors"), verdict="alert"))
    assert told.index("Of 3 checks, 1 alarm: skew. kind: 0.5 &gt; 0.2") < told.index("What was asked")
    assert re.search(r"Are features as in the rows it was trained on\? skew .{1,3} no, 1 of 2 kind: 0.5", told)
    assert "2 checks in order" in told
    assert "the furthest is kind, 0.5000 bits where 0.2000 are allowed" in page(*moved)


def test_the_closest_of_what_is_in_order_is_shown():
    near, far = check("nulls", about="x", value=0.02, limit=0.021, reason="near"), check("nulls", value=0.0, limit=0.02)
    assert re.search(r"as often as in training\? nulls .{1,3} yes, all 2 near", words(page(far, near)))


def test_missing_data_is_no_good_news():
    told = words(page(check("quality", "missing", reason="no outcomes"), check("errors"), verdict="error"))
    assert "Nothing alarms, but 1 of 2 checks have no data: quality. no outcomes" in told
    assert "trained and evaluated:" not in told


@pytest.mark.parametrize(
    ("outcome", "said"),
    [("done", "Production went back."), ("held", "A rollback was due."), ("failed", "A rollback was due.")],
)
def test_what_was_done_is_told(outcome, said):
    action = MonitoringAction(action="roll back", because=["x > y"], outcome=outcome, detail="as it went")
    told = words(page(check("errors", "alarm"), verdict="alert", actions=[action]))
    assert f"roll back: {outcome} {said} as it went" in told


def test_hostile_names_are_escaped_and_nothing_is_loaded():
    hostile = "<script>alert(1)</script>"
    html = page(check("skew", "alarm", hostile, 1.0, 0.1, f"{hostile} > 1"), verdict="alert")
    assert "<script" not in html
    assert not re.search(r"(src|href)=\"(?!#)", html)
    assert "http://" not in html
    assert "https://" not in html


def test_elements_are_closed():
    class Balance(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open = []

        def handle_starttag(self, tag, _):
            if tag not in VOID:
                self.open.append(tag)

        def handle_endtag(self, tag):
            if tag not in VOID:
                assert self.open.pop() == tag

    parser = Balance()
    parser.feed(page(*map(check, QUESTIONS), check("skew", about="x", value=0.1, limit=0.2)))
    assert parser.open == []
