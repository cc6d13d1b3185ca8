"""A model's decisions on logged requests, without a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from interlock.serving.decode import MAX_INSTANCES, Decoder
from interlock.serving.model import load_model


def decide(folder: Path, instances: Sequence[Mapping[str, Any]], *, allow_pickle: bool = False) -> list[int]:
    """0 or 1 per instance, as the server would answer; fields the model does not take are left out."""
    model = load_model(folder, allow_pickle=allow_pickle)
    decoder = Decoder(model.signature)
    known = {field.name for field in model.signature.inputs}
    labels: list[int] = []
    for start in range(0, len(instances), MAX_INSTANCES):
        rows = [{k: v for k, v in row.items() if k in known} for row in instances[start : start + MAX_INSTANCES]]
        columns = decoder.decode(msgspec.json.encode({"instances": rows}))
        labels += model.labels(model.score(columns)).tolist()
    return labels
