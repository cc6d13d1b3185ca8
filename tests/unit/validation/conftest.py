"""TFDV is only in the data environment: such tests hand a script to its interpreter and read JSON."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlock.settings import local_settings

# tests/containers runs these tests again, with the data image behind this name.
PYTHON = local_settings().environments / "data" / "bin" / "python"

InData = Callable[..., Any]


@pytest.fixture
def in_data(tmp_path: Path) -> InData:
    """``in_data(code, *arguments)`` runs ``code`` in the data environment; it must print JSON last."""

    def run(code: str, *arguments: object) -> Any:
        done = subprocess.run(
            [str(PYTHON), "-W", "ignore", "-c", code, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.strip().splitlines()[-1])

    return run
