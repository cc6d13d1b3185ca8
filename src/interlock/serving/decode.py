"""Request body -> columns, typed by the model's signature.

The body is untrusted: everything that can be wrong with it ends in :class:`RequestRefused`, whose message
is one sentence naming instance and field.
"""

from __future__ import annotations

import types
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta, Raw
from msgspec.structs import astuple

from interlock.contracts import InputField, Signature
from interlock.errors import InputError
from interlock.serving.explain import explain_malformed, explain_mismatch
from interlock.serving.rows import Columns, Row, columns_of

MAX_INSTANCES: Final = 10_000
MAX_BODY_BYTES: Final = 10_000_000

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_Number = Annotated[float, Meta(ge=-_FLOAT32_MAX, le=_FLOAT32_MAX)]


class RequestRefused(InputError):
    """A request the server does not answer with predictions. ``code`` is the HTTP status, 4xx."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Decoder:
    """Decodes ``{"instances": [...], "parameters": ...}`` for one signature.

    Instances are all objects by field name, or all arrays in signature order. A number may be null or left
    out (missing, NaN), so may a category (missing, ''); neither for a required field. Fields in
    ``signature.ignored`` are skipped, others are refused. Booleans are not numbers, numbers are not text.
    """

    def __init__(self, signature: Signature) -> None:
        self._inputs = signature.inputs
        self._count = _Count()
        self._object_decoder, self._array_decoder = _decoders(signature, None)
        self._counting_decoders = _decoders(signature, self._count)
        self._skips = not {field.name for field in self._inputs}.issuperset(signature.ignored)

    def decode(self, body: bytes) -> Columns:
        """One array of shape (n,) per input, 1 <= n <= MAX_INSTANCES; :class:`RequestRefused` otherwise."""
        return columns_of(self._inputs, self.rows(body))

    def rows(self, body: bytes) -> list[Row]:
        """One tuple per instance, values in signature order; :class:`RequestRefused` as :meth:`decode`."""
        try:
            rows = self._decode_rows(body)
        except WRONG as error:
            raise refusal(error, body, self._inputs) from error
        if not rows:
            raise RequestRefused(400, "instances is empty: send at least one")
        return rows

    def _decode_rows(self, body: bytes) -> list[Row]:
        as_objects, as_arrays = self._object_decoder, self._array_decoder
        # Every instance opens with a brace or a bracket: few of them, few instances. With many, instances are
        # counted while they are made, so that ten million bytes never become millions of objects.
        counted = len(body) > MAX_INSTANCES and body.count(b"{") + body.count(b"[") > MAX_INSTANCES
        if counted:
            as_objects, as_arrays = self._counting_decoders
            self._count.made = 0
        try:
            return self._tuples(as_objects.decode(body).instances)
        except msgspec.ValidationError as error:
            if counted and self._count.made > MAX_INSTANCES:
                raise too_many() from error
            if str(error) != "Expected `object`, got `array` - at `$.instances[0]`":
                raise
        try:
            instances = as_arrays.decode(body).instances
        except msgspec.ValidationError as error:
            if counted and self._count.made > MAX_INSTANCES:
                raise too_many() from error
            raise
        return list(map(astuple, instances)) if counted else instances

    def _tuples(self, instances: list[Any]) -> list[Row]:
        rows: list[Row] = list(map(astuple, instances))
        # Fields to skip come last in an instance.
        return [row[: len(self._inputs)] for row in rows] if self._skips else rows


# All that decoding an untrusted body raises.
WRONG: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def refusal(error: Exception, body: bytes, inputs: list[InputField]) -> RequestRefused:
    """What to raise for an error of WRONG."""
    if isinstance(error, msgspec.ValidationError):
        return RequestRefused(400, explain_mismatch(str(error), inputs))
    if isinstance(error, msgspec.DecodeError):
        return RequestRefused(400, explain_malformed(str(error), body))
    if isinstance(error, UnicodeDecodeError):
        return RequestRefused(400, "the body is not UTF-8 text")
    return RequestRefused(400, "the body is nested too deeply")


def too_many() -> RequestRefused:
    """More instances than one request may carry."""
    return RequestRefused(413, f"more than {MAX_INSTANCES} instances in one request: split the batch")


class _Count:
    """Instances made while decoding one body."""

    made = 0

    def another(self, _instance: object) -> None:
        self.made += 1
        if self.made > MAX_INSTANCES:
            raise ValueError("too many instances")


def _decoders(
    signature: Signature, count: _Count | None
) -> tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[Any]]:
    """For instances that are objects, and for arrays. Arrays become plain tuples unless they are counted."""
    names = {field.name for field in signature.inputs}
    skipped = [name for name in signature.ignored if name not in names]
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for i, field in enumerate(signature.inputs):
        fields.append((f"f{i}", type_of(field)) if field.required else (f"f{i}", type_of(field), None))
    fields += [(f"x{i}", Raw, Raw()) for i in range(len(skipped))]
    rename = {f"f{i}": field.name for i, field in enumerate(signature.inputs)}
    rename |= {f"x{i}": name for i, name in enumerate(skipped)}
    hook: dict[str, Any] = {} if count is None else {"__post_init__": count.another}
    instance = msgspec.defstruct(
        "Instance", fields, namespace=hook, rename=rename, kw_only=True, forbid_unknown_fields=True, gc=False
    )
    row: Any = types.GenericAlias(tuple, tuple(type_of(field) for field in signature.inputs))
    if count is not None:
        positions = [(f"f{i}", type_of(field)) for i, field in enumerate(signature.inputs)]
        row = msgspec.defstruct("Row", positions, namespace=hook, array_like=True, forbid_unknown_fields=True)
    return _body_decoder(instance), _body_decoder(row)


def _body_decoder(instance: Any) -> msgspec.json.Decoder[Any]:
    body = msgspec.defstruct("Body", [("instances", list[instance]), ("parameters", Raw, Raw())])
    return msgspec.json.Decoder(body)


def type_of(field: InputField) -> Any:
    """What a value of this input may be, as a msgspec type."""
    kind: Any = _Number if field.kind == "number" else str
    return kind if field.required else kind | None
