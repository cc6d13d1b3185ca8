"""``python -m interlock.serving``: the model server, told by AIP_* and INTERLOCK_* variables."""

from __future__ import annotations

import sys

from interlock.errors import InterlockError
from interlock.serving.server import serve
from interlock.settings import server_settings


def main() -> int:
    """Serve; an error a person can act on is one line on stderr."""
    try:
        return serve(server_settings())
    except InterlockError as error:
        sys.stderr.write(f"interlock.serving: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
