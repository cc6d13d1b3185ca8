"""The console process: listen on loopback, say where, end with SIGTERM."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from interlock.console.app import build_app
from interlock.console.reading import Source
from interlock.contracts import Place
from interlock.errors import EnvironmentProblem
from interlock.local import stack

HOST = "127.0.0.1"
CLOUD_SECONDS = 10.0


def local_source(state: Path) -> Source:
    """The stack in a state folder, whenever it runs."""
    folder = state.resolve()
    return Source(
        place=lambda: stack.require_place(folder), token=secrets.token_hex(16), where=state.name, state=folder
    )


def cloud_source(place: Place, *, writable: bool = False) -> Source:
    """A project on Google Cloud, read with application-default credentials; seldom enough for its quotas."""
    where = f"{place.project}, {place.location}" + ("" if writable else ", read-only")
    return Source(
        place=lambda: place,
        token=secrets.token_hex(16),
        where=where,
        writable=writable,
        every_seconds=CLOUD_SECONDS,
    )


def serve(source: Source, port: int, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; ``announce`` gets the address once it is bound. Port 0 is any free one."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise EnvironmentProblem(
                f"the console cannot bind {HOST}:{port}: {error.strerror}; give --port 0 for any free port"
            ) from error
        listener.listen()
        bound = int(listener.getsockname()[1])
        announce(f"http://{HOST}:{bound}")
        config = uvicorn.Config(
            build_app(source, bound),
            access_log=False,
            log_config=None,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,  # a page that is being looked at never ends its stream by itself
        )
        uvicorn.Server(config).run(sockets=[listener])
