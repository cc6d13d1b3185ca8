"""Bodies of the Open Inference Protocol, version 2, as KServe speaks it.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol

One tensor per input, named as in the signature: numbers as FP32, FP64 or an integer type, categories as BYTES;
shape [n] or [n, 1]; missing is null. The answer's tensors are those of :mod:`interlock.serving.answers`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from interlock.contracts import InputField, Signature
from interlock.serving.answers import Tensor
from interlock.serving.decode import MAX_INSTANCES, WRONG, RequestRefused, refusal, too_many, type_of
from interlock.serving.rows import Row

_NUMBER_TYPES: Final = {
    "FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64",
}  # fmt: skip


class _Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: Raw


class _Request(msgspec.Struct):
    inputs: list[_Tensor]
    id: str = ""


class _Answer(msgspec.Struct, omit_defaults=True):
    model_name: str
    model_version: str
    outputs: list[Tensor]
    id: str = ""


class InferenceCodec:
    """Requests to rows, tensors to answers, for one model. ``outputs`` describe its answers."""

    def __init__(self, signature: Signature, *, name: str, version: str, outputs: list[Tensor]) -> None:
        self._inputs = signature.inputs
        self._ignored = set(signature.ignored) - {field.name for field in signature.inputs}
        self._outputs = outputs
        self._name = name
        self._version = version
        self._request = msgspec.json.Decoder(_Request)
        self._flat = {field.name: msgspec.json.Decoder(list[type_of(field)]) for field in signature.inputs}  # type: ignore[misc]
        self._nested = {
            field.name: msgspec.json.Decoder(list[tuple[type_of(field)]])  # type: ignore[misc]
            for field in signature.inputs
        }

    def rows(self, body: bytes) -> tuple[list[Row], str]:
        """Rows as from the decoder of instances, and the id of the request; :class:`RequestRefused` otherwise."""
        if body.count(b"{") > MAX_INSTANCES:
            raise RequestRefused(413, f"more than {MAX_INSTANCES} objects in one request")
        try:
            request = self._request.decode(body)
        except WRONG as error:
            raise refusal(error, body, self._inputs) from error
        tensors = {tensor.name: tensor for tensor in request.inputs}
        known = {field.name for field in self._inputs}
        for name in tensors:
            if name not in known and name not in self._ignored:
                raise RequestRefused(400, f"input {name[:80]!r} is not in the model's signature")
        if len(tensors) != len(request.inputs):
            raise RequestRefused(400, "inputs holds a name twice")
        given = [tensors[name] for name in tensors if name in known]
        n = _length(given)
        columns = [self._column(field, tensors.get(field.name), n) for field in self._inputs]
        return list(zip(*columns, strict=True)), request.id

    def _column(self, field: InputField, tensor: _Tensor | None, n: int) -> list[Any]:
        if tensor is None:
            if field.required:
                raise RequestRefused(400, f"input {field.name!r} is required, but missing")
            return [None] * n
        if (tensor.datatype in _NUMBER_TYPES) != (field.kind == "number") or (
            field.kind == "category" and tensor.datatype != "BYTES"
        ):
            wanted = "FP32" if field.kind == "number" else "BYTES"
            raise RequestRefused(400, f"input {field.name!r}: expected {wanted}, got {tensor.datatype[:80]!r}")
        data = bytes(tensor.data)
        nested = data[1:].lstrip()[:1] == b"["
        try:
            values: list[Any] = (self._nested if nested else self._flat)[field.name].decode(data)
        except WRONG as error:
            detail = str(error).replace("`", "").replace(" - at $", " at data")
            raise RequestRefused(400, f"input {field.name!r}: {detail[:200]}") from error
        if len(values) != n:
            raise RequestRefused(400, f"input {field.name!r} holds {len(values)} values, but its shape says {n}")
        return [value for (value,) in values] if nested else values

    def answer(self, outputs: list[Tensor], request_id: str) -> bytes:
        """The body of an answer."""
        return msgspec.json.encode(_Answer(self._name, self._version, outputs, request_id))

    def metadata(self) -> bytes:
        """Name, version, inputs and outputs of the model."""
        inputs = [
            {"name": field.name, "datatype": "FP32" if field.kind == "number" else "BYTES", "shape": [-1, 1]}
            for field in self._inputs
        ]
        outputs = [{"name": t.name, "datatype": t.datatype, "shape": t.shape} for t in self._outputs]
        return msgspec.json.encode(
            {
                "name": self._name,
                "versions": [self._version],
                "platform": "onnxruntime_onnx",
                "inputs": inputs,
                "outputs": outputs,
            }
        )


def _length(tensors: list[_Tensor]) -> int:
    """Rows of the batch, the same for every tensor."""
    if not tensors:
        raise RequestRefused(400, "inputs holds none of the model's inputs")
    for tensor in tensors:
        n = tensor.shape[0] if tensor.shape else 0
        if tensor.shape not in ([n], [n, 1]) or n < 1:
            raise RequestRefused(400, f"input {tensor.name!r}: shape must be [n] or [n, 1] with n >= 1")
        if n > MAX_INSTANCES:
            raise too_many()
        if n != tensors[0].shape[0]:
            raise RequestRefused(
                400, f"input {tensor.name!r} has {n} rows, but {tensors[0].name!r} has {tensors[0].shape[0]}"
            )
    return tensors[0].shape[0]
