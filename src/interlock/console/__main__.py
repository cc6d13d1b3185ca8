"""``python -m interlock.console --state DIR``: the console of a local stack, as `interlock up` starts it.

One JSON line on stdout when it listens: ``{"url": …}``.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from interlock.console.server import local_source, serve
from interlock.errors import InterlockError


def main() -> int:
    """Serve; an error a person can act on is one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m interlock.console", description="The local web page.")
    parser.add_argument("--state", type=Path, required=True, help="folder of a local stack")
    parser.add_argument("--port", type=int, default=0, help="port, 0 for any free one (default)")
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        serve(local_source(given.state), given.port, _announce)
    except InterlockError as error:
        sys.stderr.write(f"interlock.console: {error}\n")
        return error.exit_code
    return 0


def _announce(url: str) -> None:
    sys.stdout.write(json.dumps({"url": url}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
