"""What evaluation and gates hand on."""

from __future__ import annotations

import msgspec

from interlock.contracts.file import Contract
from interlock.contracts.model import Task


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


class Evaluation(Contract, frozen=True, kw_only=True, tag="evaluation/v1"):
    """Everything measured about one candidate. ``champion`` is '' when there is none yet.

    ``score_deciles``: the nine borders that cut the test scores into tenths; monitoring compares live scores
    with them: probabilities of class 1, of the likeliest class, or values. ``slice_comparisons``: :attr:`comparisons`
    on every slice. ``calibration``: per tenth of the rows ``[mean score, observed share of label 1, rows]``;
    multiclass: of the likeliest class being right; regression: ``[mean answer, mean label, rows]``. ``confusion``: a
    row per true label, in the order of ``classes``, a column per predicted one. ``champion_unscorable``: why the
    champion could not be scored, '' when it was or there is none; there are no comparisons then. ``latency_p50_ms`` /
    ``latency_p99_ms``: one row per request, real model server on loopback; ``latencies`` have the bounds, the batches
    and the champion's, asked in turn. ``latency_p99_ratio``: candidate's p99 over champion's with its 95 % bounds, []
    without one. ``memory_bytes``: resident in the server after these requests, None where it cannot be read.
    """

    model_sha256: str
    test_sha256: str
    champion: str
    rows: int
    threshold: float
    measures: list[Measure]
    comparisons: list[Comparison]
    confusion: list[list[int]]
    roc: list[list[float]]
    score_deciles: list[float]
    latency_requests: int
    latency_p50_ms: float
    latency_p99_ms: float
    champion_latency_p99_ms: float | None
    size_bytes: int
    load_seconds: float
    slice_comparisons: list[Comparison] = []
    calibration: list[list[float]] = []
    champion_unscorable: str = ""
    task: Task = "binary"
    classes: list[str] = []
    latencies: list[Latency] = []
    latency_p99_ratio: list[float] = []
    memory_bytes: int | None = None
    champion_memory_bytes: int | None = None


class RuleResult(msgspec.Struct, frozen=True, kw_only=True):
    """One gate rule. ``verdict`` is ``pass``, ``fail`` or ``not enough data``; ``reason`` is the inequality.

    A result that is not ``pass`` closes the gate unless the config lets it through by name: ``blocking`` false.
    ``waiver``: who let it through, why and until when; '' without one.
    """

    gate: str
    rule: str
    slice: str = ""
    value: float | None = None
    limit: float | None = None
    verdict: str
    reason: str
    blocking: bool = True
    waiver: str = ""


class GateReport(Contract, frozen=True, kw_only=True, tag="gate-report/v1"):
    """Every rule of every gate, in config order. ``passed`` only if no blocking rule failed."""

    passed: bool
    model_sha256: str
    champion: str
    rules: list[RuleResult]
