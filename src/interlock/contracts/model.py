"""What training hands on."""

from __future__ import annotations

from typing import Literal

import msgspec

from interlock.contracts.file import Contract

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
