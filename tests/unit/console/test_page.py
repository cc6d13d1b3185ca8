"""The frame of a page."""

import re

from interlock.console.page import Page, Part, document, heading
from interlock.report.markup import element

HOSTILE = '"><script>alert(1)</script>'


def test_everything_that_comes_from_outside_is_escaped():
    page = Page(
        title=HOSTILE,
        parts=[Part("title", heading(HOSTILE, kicker=HOSTILE)), Part("p", element("p", HOSTILE))],
        trail=[(HOSTILE, HOSTILE)],
        announcement=HOSTILE,
    )
    text = document(page, HOSTILE, HOSTILE)
    assert re.findall("<script[^>]*>", text) == ['<script src="/static/console.js" defer>']
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 8


def test_nothing_is_fetched_from_elsewhere():
    text = document(Page(title="x", parts=[]), "/", "here")
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)


def test_the_area_is_marked_and_a_subpage_belongs_to_it():
    text = document(Page(title="x", parts=[]), "/runs/one", "here")
    assert re.findall(r'<a href="([^"]+)" aria-current="page">', text) == ["/runs"]


def test_a_final_page_asks_for_no_updates():
    assert 'data-live="/x"' in document(Page(title="x", parts=[]), "/x", "here")
    assert "data-live" not in document(Page(title="x", parts=[], live=False), "/x", "here")
