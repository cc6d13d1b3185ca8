"""Numbers as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"


def count(value: int) -> str:
    """``28,412``."""
    return f"{value:,}"


def plural(value: int, noun: str) -> str:
    """``1 request``, ``28,412 requests``."""
    return f"{count(value)} {noun}" if value == 1 else f"{count(value)} {noun}s"


def number(value: float | None, digits: int = 4) -> str:
    """``digits`` after the point; an en dash for what was not measured."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:,.{digits}f}".replace("-", MINUS)


def signed(value: float | None, digits: int = 4) -> str:
    """With its sign, for differences."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:+,.{digits}f}".replace("-", MINUS)


def short(value: float | None) -> str:
    """Four significant digits, for limits and values of any size."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:,.4g}".replace("-", MINUS)


def interval(low: float | None, high: float | None, digits: int = 4) -> str:
    """``0.91 to 0.93``."""
    return NONE if low is None or high is None else f"{number(low, digits)} to {number(high, digits)}"


def e_value(log_e: float) -> str:
    """An e-value from its natural logarithm, three digits of it; only the power of ten from a million on."""
    if log_e >= math.log(1e6):
        return f"10^{math.floor(log_e / math.log(10))}"
    if log_e >= math.log(1e3):
        return f"{round(math.exp(log_e), 2 - math.floor(log_e / math.log(10))):,.0f}"
    return f"{math.exp(log_e):.3g}"


def seconds(value: float) -> str:
    """``0.42 s``, ``17 s``, ``2 min 41 s``, ``3 h 05 min``."""
    if value < 10:
        return f"{value:.2f} s"
    whole = round(value)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def clock(value: float) -> str:
    """Seconds in a timeline, one decimal, so that they can be compared at a glance."""
    return f"{value:,.1f} s" if value < 600 else seconds(value)


def megabytes(size: int) -> str:
    """``0.84 MB``."""
    return f"{size / 1e6:.2f} MB"


def moment(epoch: float) -> str:
    """``2026-11-03 14:05 UTC``."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M UTC")


def window(months: list[str]) -> str:
    """Two ends of a time window as one text."""
    return " to ".join(months) if len(months) == 2 else ", ".join(months)


def capital(text: str) -> str:
    """First letter upper case, the rest as it is."""
    return text[:1].upper() + text[1:]
