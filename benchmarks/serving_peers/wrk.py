"""The load generator: wrk, on a core of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

SCRIPT = Path(__file__).with_name("post.lua")


class Load(NamedTuple):
    """One window of load. ``errors`` are answers that are not 2xx, and broken connections."""

    rps: float
    p50_us: int
    p99_us: int
    requests: int
    errors: int


def require_wrk() -> None:
    """Exit with what to do where wrk is missing."""
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed: apt-get install wrk")


def cores() -> tuple[str, str]:
    """The server's core and the generator's; the same one where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return str(allowed[0]), str(allowed[-1])


def load(url: str, bodies: Path, *, connections: int, seconds: float) -> Load:
    """``connections`` closed loops for ``seconds`` (whole seconds)."""
    command = ["taskset", "-c", cores()[1], "wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "20s"]
    done = subprocess.run(
        [*command, "-s", str(SCRIPT), url],
        env={**os.environ, "WRK_BODIES": str(bodies)},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=True,
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    result = json.loads(line.removeprefix("RESULT "))
    return Load(
        rps=result["requests"] / result["seconds"],
        p50_us=result["p50_us"],
        p99_us=result["p99_us"],
        requests=result["requests"],
        errors=result["errors"],
    )
