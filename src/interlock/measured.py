"""What an evaluation is made of: parts of :class:`interlock.contracts.Evaluation`, which are in no file alone."""

from __future__ import annotations

import msgspec


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """A metric on a slice with its 95 % interval. ``slice`` is '' for all rows, else ``column=value``.

    ``value``, ``low`` and ``high`` are None where the slice cannot carry the metric (one class, no rows).
    """

    metric: str
    slice: str = ""
    n: int
    value: float | None
    low: float | None
    high: float | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Candidate minus champion on the same rows, paired, with its 95 % interval."""

    metric: str
    slice: str = ""
    n: int
    candidate: float | None
    champion: float | None
    difference: float | None
    low: float | None
    high: float | None


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds of requests of ``rows`` rows to one model's server on loopback, one connection.

    Bounds are 95 % and free of any distribution; None where the requests were too few to have one.
    """

    model: str
    rows: int
    requests: int
    p50_ms: float
    p50_low: float | None
    p50_high: float | None
    p99_ms: float
    p99_low: float | None
    p99_high: float | None
