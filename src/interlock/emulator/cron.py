"""Cron expressions, as Vertex AI schedules take them: five fields and an optional time zone.

``TZ=America/New_York 30 6 * * MON-FRI``. Fields are minute, hour, day of month, month, day of week (0 and 7 are
Sunday); each is ``*``, a number, a name, a range, a list, with ``/step``. Where both days are restricted, either
will do, as in cron(8). A local time that daylight saving skips does not fire; one it repeats fires once.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from interlock.emulator.rpc import invalid

_MONTHS = {
    name: number
    for number, name in enumerate(
        ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"], 1
    )
}
_DAYS = {name: number for number, name in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"])}
_FIELDS: list[tuple[str, int, int, dict[str, int]]] = [
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
]
_LONGEST_DAYS = 366 * 8  # the longest wait for 29 February


class Cron(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed expression; ``either_day``: one of the two day fields is enough."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    zone: str

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time after ``moment`` that fires, in UTC; None if there is none in eight years."""
        zone = ZoneInfo(self.zone)
        local = (moment.astimezone(zone) + timedelta(minutes=1)).replace(second=0, microsecond=0, tzinfo=None)
        day = local.replace(hour=0, minute=0)
        for _ in range(_LONGEST_DAYS):
            if day.month in self.months and self._fires_on(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        wall = day.replace(hour=hour, minute=minute)
                        fires = wall.replace(tzinfo=zone).astimezone(UTC)
                        exists = fires.astimezone(zone).replace(tzinfo=None) == wall
                        if exists and fires > moment:
                            return fires
            day += timedelta(days=1)
        return None

    def _fires_on(self, day: datetime) -> bool:
        in_month = day.day in self.days
        in_week = day.isoweekday() % 7 in self.weekdays
        return in_month or in_week if self.either_day else in_month and in_week


def parse_cron(text: str) -> Cron:
    """``text`` as :class:`Cron`; INVALID_ARGUMENT names the field that is wrong."""
    zone, fields = "UTC", text.split()
    if fields and (named := re.fullmatch(r"(?:CRON_)?TZ=(.+)", fields[0])):
        zone, fields = named[1], fields[1:]
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise invalid(f"cron {text!r}: {zone!r} is not a time zone like Europe/Berlin") from error
    if len(fields) != len(_FIELDS):
        raise invalid(f"cron {text!r} has {len(fields)} fields; give minute, hour, day of month, month, day of week")
    sets = [_field(text, field, *about) for field, about in zip(fields, _FIELDS, strict=True)]
    return Cron(
        text=text,
        minutes=sets[0],
        hours=sets[1],
        days=sets[2],
        months=sets[3],
        weekdays=frozenset(day % 7 for day in sets[4]),
        either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
        zone=zone,
    )


def _field(text: str, field: str, what: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    chosen: set[int] = set()
    for part in field.upper().split(","):
        spelled = re.fullmatch(r"(\*|(\w+)(?:-(\w+))?)(?:/(\d{1,4}))?", part, re.ASCII)
        if spelled is None:
            raise invalid(f"cron {text!r}: {part!r} is not a {what}; give *, a number, a range or a list")
        step = int(spelled[4] or 1)
        if spelled[1] == "*":
            first, last = low, high
        else:
            first = _number(text, what, spelled[2], names)
            last = _number(text, what, spelled[3], names) if spelled[3] else (high if spelled[4] else first)
        if not (low <= first <= last <= high) or step < 1:
            raise invalid(f"cron {text!r}: {part!r} is beyond the {what}s {low} to {high}")
        chosen.update(range(first, last + 1, step))
    return frozenset(chosen)


def _number(text: str, what: str, word: str, names: dict[str, int]) -> int:
    if word in names:
        return names[word]
    if not word.isdigit() or len(word) > 4:
        raise invalid(f"cron {text!r}: {word!r} is not a {what}")
    return int(word)
