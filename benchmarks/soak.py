"""A million requests, good and bad, at one server: no error, and memory that stays flat. The last line is JSON.

First a tenth as many to warm it up; ``rss_growth_mb`` counts from there. One request in ten is broken: malformed, of
the wrong type, cut off in the middle of the connection. ``errors``: answers of 500 and above, wrong answers to good
requests, and broken connections that were not ours.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from serving_peers.model import build_model
from serving_peers.peers import build, ours, running
from serving_peers.soak_client import soak
from serving_peers.wrk import cores


def main() -> None:
    """Soak, and say."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--requests", type=int, default=1_000_000)
    options = arguments.parse_args()
    if reason := build("bench-serve"):
        sys.exit(reason)
    with tempfile.TemporaryDirectory(prefix="interlock-soak-") as name:
        folder = Path(name)
        rows = build_model(folder / "model")
        with running(ours(folder / "model", folder / "log")[0], folder) as live:
            subprocess.run(["taskset", "-p", "-c", cores()[1], str(os.getpid())], check=True, capture_output=True)
            choice = random.Random(7)
            warm = soak(live.port, rows, requests=options.requests // 10, choice=choice)
            before, started = live.rss_mb(), time.monotonic()
            result = soak(live.port, rows, requests=options.requests, choice=choice)
            seconds = time.monotonic() - started
            growth = live.rss_mb() - before
            errors = warm.errors + result.errors
            if live.process.poll() is not None:
                errors += 1
        log_bytes = sum(file.stat().st_size for file in (folder / "log").iterdir())
    summary = {
        "requests": result.requests,
        "refused": result.refused,
        "errors": errors,
        "rss_before_mb": before,
        "rss_growth_mb": round(growth, 1),
        "seconds": round(seconds, 1),
        "rps": round(result.requests / seconds),
        "log_mb": round(log_bytes / 1e6, 1),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
