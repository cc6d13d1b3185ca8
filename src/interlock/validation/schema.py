"""The reviewed schema: TFDV's text format, read strictly."""

from __future__ import annotations

import hashlib
from typing import Any

from interlock.errors import ConfigError
from interlock.validation.loading import native_validation


def parse_schema(text: str) -> Any:
    """A ``Schema`` proto from its text; :class:`ConfigError` names line and field of a typo."""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    try:
        schema = text_format.Parse(text, schema_pb2.Schema())
    except text_format.ParseError as error:
        raise ConfigError(f"schema: {error}; correct the schema file named in validation.schema") from error
    if not schema.feature:
        raise ConfigError("schema: no feature in it; infer one with `interlock schema infer` and review it")
    return schema


def infer_schema(statistics: Any, *, most_values: int = 100) -> Any:
    """A first schema for a person to review: environments TRAINING and SERVING, domains of up to ``most_values``."""
    from tensorflow_metadata.proto.v0 import schema_pb2

    answer = native_validation().InferSchema(statistics.datasets[0].SerializeToString(), most_values, False)
    schema = schema_pb2.Schema()
    schema.ParseFromString(answer)
    schema.default_environment.extend(["TRAINING", "SERVING"])
    return schema


def update_schema(schema: Any, statistics: Any, *, most_values: int = 100) -> Any:
    """``schema``, widened just so far that ``statistics`` pass."""
    from tensorflow_metadata.proto.v0 import schema_pb2

    answer = native_validation().UpdateSchema(
        schema.SerializeToString(), statistics.datasets[0].SerializeToString(), most_values
    )
    updated = schema_pb2.Schema()
    updated.ParseFromString(answer)
    return updated


def schema_text(schema: Any) -> str:
    """TFDV's text format."""
    from google.protobuf import text_format

    return str(text_format.MessageToString(schema))


def schema_sha256(text: str) -> str:
    """Fingerprint of a schema text; '' for no schema."""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""
