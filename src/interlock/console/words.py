"""States and times as the pages say them."""

from __future__ import annotations

from datetime import UTC, datetime

from interlock.report import wording
from interlock.report.markup import Content, Html, element, join, mark

_KINDS = {
    "succeeded": "good",
    "skipped": "good",
    "promoted": "good",
    "failed": "bad",
    "rolled back": "bad",
    "rolling back": "bad",
}
_WORDS = {"skipped": "from cache", "not triggered": "not started"}


def kind_of(state: str) -> str:
    """good, bad or open."""
    return _KINDS.get(state, "open")


def state_mark(state: str) -> Html:
    """The state of a job, task or rollout as symbol, word and colour."""
    return mark(kind_of(state), _WORDS.get(state, state))


def moment(time: float) -> Content:
    """A time, exact for machines; an en dash for none."""
    if not time:
        return wording.NONE
    exact = datetime.fromtimestamp(time, UTC)
    return element("time", exact.strftime("%Y-%m-%d %H:%M:%S"), datetime=exact.isoformat(), title="UTC")


def took(began: float, ended: float) -> str:
    """How long it took; '' while it lasts."""
    return wording.seconds(max(ended - began, 0.0)) if began and ended else ""


def chips(words: list[str]) -> Content:
    """Aliases and the like."""
    if not words:
        return wording.NONE
    return join((element("span", word, class_="chip") for word in words), " ")
