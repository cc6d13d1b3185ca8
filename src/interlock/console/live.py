"""Server-sent events: the parts of a page whose markup changed, as long as somebody looks.

One JSON object per event, ``{"parts": {id: html}}``; ``event: end`` when nothing will change any more, and
``event: problem`` with a sentence while the page cannot be read.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from interlock.console.page import Page

EVERY_SECONDS = 1.0
REST = 2.0  # times as long as the last look took: a page that is slow to read must not take the machine


async def events(
    look: Callable[[], Awaitable[Page]], gone: Callable[[], Awaitable[bool]], every: float = EVERY_SECONDS
) -> AsyncIterator[bytes]:
    """Look again and again, ``every`` so many seconds, until the page is final or the client is ``gone``."""
    sent: dict[str, str] = {}
    while not await gone():
        began = time.monotonic()
        page = await look()
        if page.status >= 400:
            yield event(page.announcement, "problem")
        else:
            changed = {part.id: str(part.html) for part in page.all_parts() if sent.get(part.id) != part.html}
            sent |= changed
            yield event({"parts": changed})
            if not page.live:
                yield event("", "end")
                return
        await asyncio.sleep(max(every, REST * (time.monotonic() - began)))


def event(data: object, name: str = "") -> bytes:
    """One event on the wire. JSON holds no line breaks."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + msgspec.json.encode(data) + b"\n\n"
