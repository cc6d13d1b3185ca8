"""Runs a page as it stands: files are written, bash blocks become one script, printed lines are looked for."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from .pages import ROOT, fences

TUTORIAL = "docs/tutorial.md"
# In this order in the tutorial's folder; the last one moves production.
AFTER_TUTORIAL = tuple(
    f"docs/how-to/{name}.md"
    for name in ("write-a-gate-rule", "choose-a-canary-plan", "add-a-stage", "own-estimator", "roll-back")
)
ALONE = ("docs/how-to/emulator-in-pytest.md", "docs/how-to/add-a-metric-source.md")
WRITTEN = re.compile(r"[\w./-]+\.\w+")


def execute(page: str, folder: Path, *, timeout: float) -> str:
    """What the page printed, stdout and stderr; fails with it when a command does."""
    blocks = fences(ROOT / page)
    script = ["set -euo pipefail"]
    for block in blocks:
        if WRITTEN.fullmatch(block.title):
            script.append(f"mkdir -p {os.path.dirname(block.title) or '.'}; cat > {block.title} <<'END-OF-FILE'")
            script.append(f"{block.text}END-OF-FILE")
        elif block.language == "bash" and not block.title:
            script.append(f": {block.where}\n{block.text}")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    environment.pop("INTERLOCK_STATE", None)
    log = folder / "printed.log"
    with log.open("w") as printed:
        shell = subprocess.Popen(
            ["bash", "-c", "\n".join(script)],
            cwd=folder, env=environment, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            status: int | str = shell.wait(timeout)
        except subprocess.TimeoutExpired:
            status = f"none after {timeout:g} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGTERM)  # what the page left in the background
            shell.wait()
            subprocess.run(["interlock", "down"], cwd=folder, env=environment, capture_output=True, check=False)
    text = log.read_text()
    assert status == 0, f"{page}: exit status {status}\n{text[-3000:]}"
    return text


def missing(page: str, printed: str) -> list[str]:
    """Lines that the page says are printed and were not, numbers aside."""
    lines = {normal(line) for line in printed.splitlines()}
    told = [line for block in fences(ROOT / page) if block.title == "prints" for line in block.text.splitlines()]
    return [line for line in told if line.strip() and normal(line) not in lines]


def normal(line: str) -> str:
    """``version 1: promoted, 0 of 502`` -> ``version #: promoted, # of #``."""
    return re.sub(r"\b[0-9a-f]{8,}\b|\d[\d.,:-]*", "#", " ".join(line.split()))
