"""The stream of changes."""

import asyncio
import json

from interlock.console.live import events
from interlock.console.page import Page, Part
from interlock.report.markup import element


def collect(pages):
    """What a client gets that looks at these pages one after the other."""
    waiting = list(pages)

    async def look():
        return waiting.pop(0)

    async def gone():
        return not waiting

    async def run():
        return [event.decode() async for event in events(look, gone, every=0.0)]

    return asyncio.run(run())


def page(live=True, status=200, **parts):
    return Page(
        title="t",
        parts=[Part(name, element("p", text)) for name, text in parts.items()],
        live=live,
        status=status,
        announcement="problem" if status >= 400 else "",
    )


def test_only_what_changed_is_sent_and_a_final_page_ends_it():
    first, second, end = collect([page(a="1", b="1"), page(a="1", b="2\n3", live=False)])[0:3]
    assert set(json.loads(first.removeprefix("data: "))["parts"]) == {"a", "b", "announcement"}
    assert json.loads(second.removeprefix("data: "))["parts"] == {"b": "<p>2\n3</p>"}
    assert end.startswith("event: end\n")


def test_every_event_is_one_line_of_data():
    for event in collect([page(a="1\n2\r3", live=False)]):
        assert event.endswith("\n\n")
        assert "\n" not in event.rstrip("\n").rpartition("data: ")[2]


def test_a_page_that_cannot_be_read_is_told_and_looked_at_again():
    told = collect([page(status=503), page(a="1", live=False)])
    assert told[0].startswith("event: problem\n")
    assert '"a"' in told[1]
