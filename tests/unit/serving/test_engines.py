"""ONNX Runtime as it is used here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

OPEN = """
import sys
from interlock.errors import ContractError
from interlock.serving.engines import open_session
try:
    open_session(b"no model")
except ContractError:
    sys.exit("refused")
"""


def test_onnx_runtime_reports_nothing_and_marks_no_machine(tmp_path: Path) -> None:
    # Otherwise it would write an identifier below the home folder, and say that it cannot where there is none.
    process = subprocess.run(
        [sys.executable, "-c", OPEN],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.stderr.strip() == "refused"
    assert not list(tmp_path.rglob("*"))
