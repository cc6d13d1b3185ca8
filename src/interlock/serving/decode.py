"""Request body -> columns, typed by the model's signature.

The body is untrusted: everything that can be wrong with it ends in :class:`RequestRefused`, whose message
is one sentence naming instance and field.
"""

from __future__ import annotations

import types
from operator import attrgetter
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta, Raw

from interlock.contracts import InputField, Signature
from interlock.errors import InputError
from interlock.serving.explain import explain_malformed, explain_mismatch
from interlock.serving.model import Columns

MAX_INSTANCES: Final = 10_000
MAX_BODY_BYTES: Final = 10_000_000

# The shortest instances, ``{}`` and ``[]``, take three bytes with their comma.
_SHORTEST_INSTANCE_BYTES = 3

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_Number = Annotated[float, Meta(ge=-_FLOAT32_MAX, le=_FLOAT32_MAX)]


class RequestRefused(InputError):
    """A request the server does not answer with predictions. ``code`` is the HTTP status, 4xx."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Counted(msgspec.Struct):
    """Any body with an array of instances."""

    instances: list[Raw]


class Decoder:
    """Decodes ``{"instances": [...], "parameters": ...}`` for one signature.

    Instances are all objects by field name, or all arrays in signature order. A number may be null or left
    out (missing, NaN), so may a category (missing, ''); neither for a required field. Fields in
    ``signature.ignored`` are skipped, others are refused. Booleans are not numbers, numbers are not text.
    """

    def __init__(self, signature: Signature) -> None:
        self._inputs = signature.inputs
        self._object_decoder, self._array_decoder = _decoders(signature)
        # Attribute names, not field names: those need not be Python identifiers. Asking for the first
        # one twice makes attrgetter give a tuple for a signature of one input as well.
        self._values = attrgetter(*(f"f{i}" for i in range(len(self._inputs))), "f0")

    def decode(self, body: bytes) -> Columns:
        """One array of shape (n,) per input, 1 <= n <= MAX_INSTANCES; :class:`RequestRefused` otherwise."""
        try:
            rows = self._decode_rows(body)
        except msgspec.ValidationError as error:
            raise RequestRefused(400, explain_mismatch(str(error), self._inputs)) from error
        except msgspec.DecodeError as error:
            raise RequestRefused(400, explain_malformed(str(error), body)) from error
        except UnicodeDecodeError as error:
            raise RequestRefused(400, "the body is not UTF-8 text") from error
        except RecursionError as error:
            raise RequestRefused(400, "the body is nested too deeply") from error
        if not rows:
            raise RequestRefused(400, "instances is empty: send at least one")
        if len(rows) > MAX_INSTANCES:
            raise _too_many(len(rows))
        # strict=False: the row tuples of objects end with the first value again.
        return {
            field.name: _column(field, values)
            for field, values in zip(self._inputs, zip(*rows, strict=True), strict=False)
        }

    def _decode_rows(self, body: bytes) -> list[tuple[Any, ...]]:
        if len(body) > MAX_INSTANCES * _SHORTEST_INSTANCE_BYTES:
            # Counting first keeps a body of ten million bytes from becoming millions of instances.
            count = len(msgspec.json.decode(body, type=_Counted).instances)
            if count > MAX_INSTANCES:
                raise _too_many(count)
        try:
            return [self._values(instance) for instance in self._object_decoder.decode(body).instances]
        except msgspec.ValidationError as error:
            if str(error) != "Expected `object`, got `array` - at `$.instances[0]`":
                raise
        rows: list[tuple[Any, ...]] = self._array_decoder.decode(body).instances
        return rows


def _too_many(count: int) -> RequestRefused:
    return RequestRefused(413, f"{count} instances > {MAX_INSTANCES} allowed in one request: split the batch")


def _decoders(signature: Signature) -> tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[Any]]:
    names = {field.name for field in signature.inputs}
    skipped = [name for name in signature.ignored if name not in names]
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for i, field in enumerate(signature.inputs):
        fields.append((f"f{i}", _type(field)) if field.required else (f"f{i}", _type(field), None))
    fields += [(f"x{i}", Raw, Raw()) for i in range(len(skipped))]
    rename = {f"f{i}": field.name for i, field in enumerate(signature.inputs)}
    rename |= {f"x{i}": name for i, name in enumerate(skipped)}
    instance = msgspec.defstruct("Instance", fields, rename=rename, kw_only=True, forbid_unknown_fields=True, gc=False)
    row: Any = types.GenericAlias(tuple, tuple(_type(field) for field in signature.inputs))
    return _body_decoder(instance), _body_decoder(row)


def _body_decoder(instance: Any) -> msgspec.json.Decoder[Any]:
    body = msgspec.defstruct("Body", [("instances", list[instance]), ("parameters", Raw, Raw())])
    return msgspec.json.Decoder(body)


def _type(field: InputField) -> Any:
    kind: Any = _Number if field.kind == "number" else str
    return kind if field.required else kind | None


def _column(field: InputField, values: tuple[Any, ...]) -> Any:
    if field.kind == "number":
        return np.array(values, dtype=np.float32)  # None becomes NaN
    return np.array([value or "" for value in values], dtype=object)
