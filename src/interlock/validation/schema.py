"""The reviewed schema: TFDV's text format, read strictly."""

from __future__ import annotations

import hashlib
from typing import Any

from interlock.errors import ConfigError


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


def infer_schema_text(statistics: Any) -> str:
    """A first schema for a person to review."""
    import tensorflow_data_validation as tfdv
    from google.protobuf import text_format

    schema = tfdv.infer_schema(statistics, infer_feature_shape=False)
    schema.default_environment.extend(["TRAINING", "SERVING"])
    return str(text_format.MessageToString(schema))


def schema_sha256(text: str) -> str:
    """Fingerprint of a schema text; '' for no schema."""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""
