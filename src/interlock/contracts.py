"""The frozen values that travel between stages, as JSON files with a version in them.

Every contract carries its name (``"contract": "evaluation/v1"``). It is validated where it is read, so a
stage never works on a file that merely looks right. Floats are finite unless a field says otherwise.

=================  ==================================  ===========================================
contract           written by                          read by
=================  ==================================  ===========================================
Table              ingest_table                        validate_data, build_features
DataVerdict        validate_data                       build_features, judge_candidate
Features           build_features                      train_model, evaluate_model
Signature          train_model                         evaluate_model, model server
Manifest           train_model                         everything after it (digest check)
Evaluation         evaluate_model                      judge_candidate, register_model
GateReport         judge_candidate                     register_model, resolve_candidate
ModelVersion       interlock.registry                  deployment pipeline
Verdict            judge_rollout                       strategy, journal, report
=================  ==================================  ===========================================
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from interlock.errors import ContractError
from interlock.measured import Comparison, Latency, Measure
from interlock.monitored import BinnedColumn, MonitoringAction, MonitoringCheck


class Contract(msgspec.Struct, frozen=True, kw_only=True, tag_field="contract", forbid_unknown_fields=True):
    """Base of all contracts: frozen, keyword-only, tagged with name and version."""


C = TypeVar("C", bound=Contract)


def write_contract(value: Contract, path: Path) -> None:
    """Write ``value`` as indented JSON, with stable field order, so that equal values are equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def read_contract(path: Path, kind: type[C]) -> C:
    """Read a contract of ``kind`` from ``path``; :class:`ContractError` if it is missing or something else."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError as error:
        raise ContractError(f"{path.name} is missing in {path.parent}: re-run the stage that writes it") from error
    except msgspec.MsgspecError as error:
        expected = kind.__struct_config__.tag
        raise ContractError(f"{path} is not a {expected}: {error}; re-run the stage that writes it") from error


# --- data ----------------------------------------------------------------------------------------------


class Column(msgspec.Struct, frozen=True):
    """A column of a table; ``kind`` is ``number``, ``category``, ``boolean`` or ``time``."""

    name: str
    kind: str


class Table(Contract, frozen=True, kw_only=True, tag="table/v1"):
    """A directory with ``table.parquet`` (and one ``<name>.parquet`` per joined table).

    ``sha256`` is a fingerprint of the values, independent of file layout. Times are ISO 8601, UTC.
    """

    source: str
    rows: int
    columns: list[Column]
    sha256: str
    time_start: str = ""
    time_end: str = ""
    joined: dict[str, int] = {}
    window_end: str = ""
    reference_rows: int = 0
    reference_sha256: str = ""


class SqlResult(msgspec.Struct, frozen=True, kw_only=True):
    """A declared condition, counted over a table. ``rows``: up to ten rows that break it, key columns first."""

    name: str
    sql: str
    broken: int
    at_most: int
    rows: list[dict[str, str]] = []


class TableChecks(Contract, frozen=True, kw_only=True, tag="table-checks/v1"):
    """What needs SQL, computed at ingestion, where DuckDB is. ``positives`` of ``labelled`` rows have label 1."""

    table_sha256: str
    labelled: int
    positives: int
    results: list[SqlResult] = []


class Anomaly(msgspec.Struct, frozen=True):
    """One broken rule. ``value`` and ``limit`` are text for people.

    ``rows``: up to ten rows that break it, key columns first. ``waiver``: who lets it pass, why, and until when.
    """

    feature: str
    rule: str
    value: str
    limit: str
    reason: str
    blocking: bool = True
    rows: list[dict[str, str]] = []
    waiver: str = ""


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True):
    """Divergence of one feature from the reference span, in bits.

    ``limit`` is the larger of the effect floor and what chance allows; ``alarm`` when the divergence exceeds it.
    """

    feature: str
    divergence: float
    limit: float
    alarm: bool


class DataVerdict(Contract, frozen=True, kw_only=True, tag="data-verdict/v1"):
    """Outcome of data validation. ``passed`` is false as soon as one blocking anomaly stands."""

    passed: bool
    rows: int
    features: int
    table_sha256: str
    schema_sha256: str
    anomalies: list[Anomaly] = []
    drift: list[FeatureDrift] = []


class Features(Contract, frozen=True, kw_only=True, tag="features/v1"):
    """A directory with ``train.parquet``, ``validation.parquet`` and ``test.parquet``, split by time.

    ``dropped_rows`` counts rows without a label. Each file holds key, time, label, slice and feature columns.
    """

    table_sha256: str
    sha256: str
    label: str
    numbers: list[str]
    categories: list[str]
    rows: dict[str, int]
    dropped_rows: int
    boundaries: dict[str, str]


# --- model ---------------------------------------------------------------------------------------------


Task = Literal["binary", "multiclass", "regression"]


class InputField(msgspec.Struct, frozen=True, kw_only=True):
    """One model input. ``kind`` is ``number`` (float32, missing = NaN) or ``category`` (text, missing = '')."""

    name: str
    kind: str
    required: bool = False


class Signature(Contract, frozen=True, kw_only=True, tag="signature/v1"):
    """What the model takes and gives. ``model.onnx`` has one input per field, shape (n, 1).

    ``probability_output`` is what is read of it: probabilities (n, 2), of a multiclass task (n, classes) in the order
    of ``classes``, of a regression values (n, 1). ``threshold``: the label of a binary task is 1 when the
    probability of class 1 is >= threshold; other tasks have none (0). ``ignored`` names fields a request may carry
    besides the inputs (keys, pass-through columns).
    """

    task: Task
    inputs: list[InputField]
    threshold: float
    probability_output: str = "probabilities"
    ignored: list[str] = []
    classes: list[str] = []


class Manifest(Contract, frozen=True, kw_only=True, tag="manifest/v1"):
    """Where a model comes from: enough to train it again and to prove it is the same.

    ``git_revision`` ends in ``+`` when the checkout had changes. ``parameters`` are the estimator's, as given or
    as a search found them. ``format``: ``model.onnx`` or, where the config allows pickle, ``model.joblib``;
    ``model_sha256`` is the digest of that file; ``export_refused`` says why it is not ONNX.
    """

    name: str
    format: Literal["onnx", "joblib"] = "onnx"
    export_refused: str = ""
    model_sha256: str
    signature_sha256: str
    features_sha256: str
    table_sha256: str
    config_sha256: str
    config: str
    seed: int
    window: list[str]
    rows: dict[str, int]
    git_revision: str = ""
    image: str = ""
    lock_sha256: str = ""
    libraries: dict[str, str] = {}
    parity_max_difference: float = 0.0
    parameters: dict[str, int | float | str | bool | None] = {}


class ModelSignature(Contract, frozen=True, kw_only=True, tag="model-signature/v1"):
    """An Ed25519 signature over the files of a version, written by :mod:`interlock.registry.signature`.

    ``key`` tells keys apart: sixteen hex digits. ``files``: SHA-256 by file name. ``value``: the signature, base64.
    """

    key: str
    files: dict[str, str]
    value: str


# --- evaluation and gates ------------------------------------------------------------------------------


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


# --- registry and rollout ------------------------------------------------------------------------------


class ModelVersion(Contract, frozen=True, kw_only=True, tag="model-version/v1"):
    """A version in the registry. ``name`` is the resource name without version."""

    name: str
    version: str
    aliases: list[str]
    artifact_uri: str
    description: str = ""
    model_sha256: str = ""
    create_time: str = ""

    @property
    def resource(self) -> str:
        """``projects/…/models/…@version``."""
        return f"{self.name}@{self.version}"


class VerdictKind(StrEnum):
    """What the evidence says. Missing data is ``inconclusive``, a broken source is ``error``: never ``healthy``."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


class Verdict(Contract, frozen=True, kw_only=True, tag="verdict/v1"):
    """The evidence on one rollout step. ``reason`` is the inequality that decided, with its numbers."""

    kind: VerdictKind
    metric: str
    reason: str
    requests: int
    candidate_requests: int


class Place(Contract, frozen=True, kw_only=True, tag="place/v1"):
    """Where Vertex AI, object store and warehouse are. On Google Cloud both endpoints are ''.

    ``warehouse`` is a SQLAlchemy URL: serving log, outcomes and rollout journal.
    """

    project: str
    location: str
    bucket: str
    warehouse: str
    api_endpoint: str = ""
    storage_endpoint: str = ""
    service_account: str = ""


def parse_place(text: str) -> Place:
    """Read the ``place`` parameter of a pipeline."""
    try:
        return msgspec.json.decode(text, type=Place)
    except msgspec.MsgspecError as error:
        raise ContractError(
            f"parameter place is not a place/v1: {error}; pass the text `interlock up` wrote"
        ) from error


class MonitoringReference(Contract, frozen=True, kw_only=True, tag="monitoring-reference/v1"):
    """What a version was trained on, as counts: ``features`` over all rows, ``score`` over rows it was not fitted to.

    ``piece_hours``: length of a piece, 0 where rows have no time. ``score_field`` of a prediction; '' for no score.
    """

    rows: int
    piece_hours: float
    features: list[BinnedColumn]
    score_field: str = ""
    score: BinnedColumn | None = None


class MonitoringReport(Contract, frozen=True, kw_only=True, tag="monitoring-report/v1"):
    """One look at live traffic of the production version.

    ``verdict``: ``alert`` when a check alarms, else ``error`` when one has no data, else ``ok``. ``versions``: requests
    by version. ``score_divergence``: Jensen-Shannon (bits), against scores of rows the model was not fitted to.
    """

    endpoint: str
    version: str
    since: float
    until: float
    requests: int
    failed: int
    with_outcome: int
    cost: float | None
    expected_cost: float | None
    score_divergence: float | None
    verdict: Literal["ok", "alert", "error"]
    reasons: list[str]
    checks: list[MonitoringCheck] = []
    versions: dict[str, int] = {}
    actions: list[MonitoringAction] = []
