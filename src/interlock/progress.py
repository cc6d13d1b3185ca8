"""How far long work is: on a terminal a line that changes, in a log a line every ten seconds.

Short work says nothing in a log. The core takes a :data:`Say`; commands and steps pass a :class:`Progress`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

Say = Callable[[str], None]
TERMINAL_SECONDS, LOG_SECONDS = 0.1, 10.0
WIPE = "\r\x1b[K"


def silent(text: str) -> None:
    """Say nothing."""


class Progress:
    """``progress("t.csv: 70,000 rows")`` as often as one likes; leaving the context wipes the line of a terminal."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._terminal = stream.isatty()
        self._began = clock()
        self._next = self._began + (0.0 if self._terminal else LOG_SECONDS)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._terminal:
            self._stream.write(WIPE)
            self._stream.flush()

    def __call__(self, text: str) -> None:
        """Show ``text`` and the seconds so far, unless something was shown just before."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + (TERMINAL_SECONDS if self._terminal else LOG_SECONDS)
        line = f"{text}, {now - self._began:.0f} s"
        self._stream.write(f"{WIPE}{line[:100]}" if self._terminal else f"{line}\n")
        self._stream.flush()
