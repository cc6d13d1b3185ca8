"""The core can be imported inside a component, where ``_KFP_RUNTIME=true`` and kfp.dsl has no decorators."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import interlock

SOURCE = Path(interlock.__file__).parent
ENVIRONMENTS = Path(sys.prefix).parent

# What runs in the image `data`, beside what every environment has.
IN_DATA = ("contracts", "config", "errors", "settings", "validation")

ONLY_IN_DATA = ("interlock.validation.beam_statistics",)  # workers of Beam, which `ml` does not have

IMPORT_ALL = """
import importlib, sys
failed = []
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except (ImportError, AttributeError, TypeError) as error:
        failed.append(f"{name}: {type(error).__name__}: {error}")
reached = [name for name in sys.modules if name.startswith(("interlock.components", "interlock.pipelines"))]
sys.exit("\\n".join(failed + [f"reached {name}" for name in reached]) or 0)
"""


def modules() -> list[str]:
    names = [".".join(path.relative_to(SOURCE.parent).with_suffix("").parts) for path in SOURCE.rglob("*.py")]
    return sorted(name.removesuffix(".__init__") for name in names)


@pytest.mark.parametrize("environment", ["ml", "data"])
def test_core_imports_at_run_time(environment: str) -> None:
    chosen = [
        name
        for name in modules()
        if (
            name not in ONLY_IN_DATA
            if environment == "ml"
            else name.startswith(tuple(f"interlock.{part}" for part in IN_DATA))
        )
    ]
    done = subprocess.run(
        [str(ENVIRONMENTS / environment / "bin" / "python"), "-c", IMPORT_ALL, *chosen],
        env={**os.environ, "_KFP_RUNTIME": "true", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_only_local_imports_kfp() -> None:
    offenders = [
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if "kfp" in imported(path) and path.relative_to(SOURCE).parts[0] != "local"
    ]
    assert offenders == []


def imported(path: Path) -> set[str]:
    """Top-level packages that the file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found
