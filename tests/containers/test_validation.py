"""tests/unit/validation once more, on the TensorFlow Data Validation of the data image."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from interlock import __version__

ROOT = Path(__file__).parents[2]


def test_statistics_and_verdicts_are_the_same_on_the_version_in_the_image(
    start: Any, output: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tests run here; what they ask of the data environment is answered by a container of the image."""
    found = output(
        "data", "python3", "-W", "ignore", "-c", "import tensorflow_data_validation as t; print(t.__version__)"
    )
    version = found.splitlines()[-1]
    assert version.startswith("1.21.")
    shared = tmp_path / "shared"
    shared.mkdir()
    here = f"{os.getuid()}:{os.getgid()}"
    container = start(
        f"interlock-data:{__version__}",
        command=["sleep", "800"],
        user=here,
        environment={"HOME": "/tmp"},
        network_mode="none",
        init=True,
        volumes={
            str(tmp_path): {"bind": str(tmp_path), "mode": "rw"},
            sys.prefix: {"bind": sys.prefix, "mode": "ro"},  # the example's table is a package there
            str(ROOT / "examples"): {"bind": str(ROOT / "examples"), "mode": "ro"},
        },
    )
    python = tmp_path / "environments" / "data" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f'#!/bin/sh\nexec docker exec --workdir "$PWD" --env TF_CPP_MIN_LOG_LEVEL {container.id} python3 "$@"\n'
    )
    python.chmod(0o755)
    (python.parents[2] / "ml").symlink_to(sys.prefix)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--basetemp",
            str(shared / "t"),
            "tests/unit/validation",
        ],
        cwd=ROOT,
        env={**os.environ, "INTERLOCK_ENVIRONMENTS": str(python.parents[2]), "TMPDIR": str(shared)},
        capture_output=True,
        text=True,
        timeout=780,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1]
    with capsys.disabled():
        print(f"\n  tests/unit/validation on TensorFlow Data Validation {version}: {last}")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert re.search(r"\b[1-9]\d* passed", last)
