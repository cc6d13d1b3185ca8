"""The training pipeline of the example, every step in its image, by kfp.local.DockerRunner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interlock.contracts import Manifest, read_contract
from interlock.vertex.registry import VertexModelRegistry


def test_trains_and_registers_as_nobody_in_particular(candidate: Path, topology: Any, pipelines: Any) -> None:
    manifest = read_contract(candidate / "manifest.json", Manifest)
    assert manifest.name == "flights"
    assert (candidate / "model.onnx").stat().st_uid == int(pipelines.user.partition(":")[0]) > 0
    registered = VertexModelRegistry(topology.outside, "flights").find("1")
    assert registered is not None
    assert registered.model_sha256 == manifest.model_sha256
