"""``python -m interlock.emulator --state DIR --project P``: serve the Vertex AI API on loopback.

One JSON line on stdout when requests are taken: ``{"pid": …, "port": …, "url": …}``.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from interlock.emulator.server import Options, serve
from interlock.emulator.state import Ready
from interlock.errors import InterlockError
from interlock.settings import emulator_token, pickle_allowed, step_runner


def parse(arguments: Sequence[str]) -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m interlock.emulator", description="Vertex AI API on loopback.")
    parser.add_argument("--state", type=Path, required=True, help="folder that holds everything")
    parser.add_argument("--project", required=True, help="project id served")
    parser.add_argument("--location", default="us-central1", help="region served (default: %(default)s)")
    parser.add_argument("--warehouse", default="", help="SQLAlchemy URL (default: SQLite in the state folder)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port, 0 for any free one (default)")
    parser.add_argument("--storage-endpoint", default="", help="URL of a storage emulator, given to servers and jobs")
    parser.add_argument(
        "--allow-remote", action="store_true", help="permit a --host beyond this machine; needs INTERLOCK_TOKEN"
    )
    parser.add_argument(
        "--allow-pickle",
        action="store_true",
        default=pickle_allowed(),
        help="let prebuilt images load pickled models (or INTERLOCK_ALLOW_PICKLE=1)",
    )
    parser.add_argument(
        "--health-seconds", type=float, default=5.0, help="between checks of a model server (default: %(default)s)"
    )
    parser.add_argument(
        "--runner",
        choices=("process", "docker"),
        default=step_runner(),
        help="a pipeline step is a process in the environment of its image, or a container (or INTERLOCK_RUNNER)",
    )
    return Options(**vars(parser.parse_args(arguments)), token=emulator_token())


def main() -> int:
    """Serve; an error a person can act on is one line on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        serve(parse(sys.argv[1:]), _announce)
    except InterlockError as error:
        sys.stderr.write(f"interlock.emulator: {error}\n")
        return error.exit_code
    return 0


def _announce(ready: Ready) -> None:
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
