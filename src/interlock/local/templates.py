"""Pipelines compiled to the file that every engine takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_template(pipeline: Callable[..., Any], path: Path) -> Path:
    """Compile a pipeline function to KFP YAML at ``path``."""
    from kfp import compiler

    path.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(pipeline, str(path))
    return path
