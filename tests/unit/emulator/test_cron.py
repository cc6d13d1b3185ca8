from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.emulator.cron import parse_cron
from interlock.emulator.rpc import RpcError


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("* * * * *", "2026-11-24T10:00:30", "2026-11-24T10:01"),
        ("* * * * *", "2026-11-24T10:00:00", "2026-11-24T10:01"),
        ("*/15 * * * *", "2026-11-24T10:46", "2026-11-24T11:00"),
        ("5/20 * * * *", "2026-11-24T10:06", "2026-11-24T10:25"),
        ("30 6 * * MON-FRI", "2026-11-27T07:00", "2026-11-30T06:30"),
        ("0 0 1,15 * *", "2026-11-24T00:00", "2026-12-01T00:00"),
        ("0 0 13 * FRI", "2026-11-24T00:00", "2026-11-27T00:00"),  # either day
        ("0 0 * * 7", "2026-11-24T00:00", "2026-11-29T00:00"),
        ("0 0 29 FEB *", "2026-11-24T00:00", "2028-02-29T00:00"),
        ("TZ=America/New_York 0 9 * * *", "2026-11-24T00:00", "2026-11-24T14:00"),
        ("CRON_TZ=America/New_York 0 9 * * *", "2026-07-24T00:00", "2026-07-24T13:00"),
        ("TZ=Europe/Berlin 30 2 * * *", "2026-03-29T00:00", "2026-03-30T00:30"),  # 02:30 does not exist on the 29th
        ("TZ=Europe/Berlin 30 2 * * *", "2026-10-25T00:30", "2026-10-26T01:30"),  # 02:30 twice on the 25th: once
    ],
)
def test_next_time(cron, after, expected):
    assert parse_cron(cron).next_after(at(after)) == at(expected)


def test_a_day_that_never_comes():
    assert parse_cron("0 0 31 2 *").next_after(at("2026-01-01T00:00")) is None


@pytest.mark.parametrize(
    "cron",
    [
        *("", "* * * *", "* * * * * *", "60 * * * *", "5-3 * * * *", "*/0 * * * *", "x * * * *", "1, * * * *"),
        *("* * 0 * *", "* * * JANUARY *", "TZ=Nowhere/Land * * * * *", "TZ=../../etc/passwd * * * * *", "²5 * * * *"),
    ],
)
def test_what_is_no_cron_is_refused(cron):
    with pytest.raises(RpcError, match="cron"):
        parse_cron(cron)


field = st.sampled_from(["*", "*/7", "3", "1-9/2", "0-5,8"])


@settings(max_examples=50, deadline=None)
@given(field, field, st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)))
def test_next_time_is_the_first_minute_that_matches(minute, hour, moment):
    cron = parse_cron(f"{minute} {hour} * * *")
    moment = moment.replace(tzinfo=UTC)
    found = cron.next_after(moment)
    step = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while not (step.minute in cron.minutes and step.hour in cron.hours):
        step += timedelta(minutes=1)
    assert found == step
