"""One server process.

::

    bind the port ──> fetch, check, load, warm the model ──> listen, say ready ──SIGTERM──> drain ──> exit 0
         │ in use             │ anything wrong                                     (SIGINT)
         └────────────────────┴──> one line on stderr, exit code of the error

The port is bound first, so that a taken one is known before a long download, but nothing listens on it before
the model has answered: a health check is refused until then.
"""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any

import msgspec
import uvicorn

from interlock.errors import EnvironmentProblem
from interlock.serving.app import App
from interlock.serving.fetch import model_folder
from interlock.serving.model import Model, load_model
from interlock.settings import ServerSettings


class ReadyServer(uvicorn.Server):
    """Writes ``ready_line`` to stdout once it listens, and does not die of the signal that stops it."""

    def __init__(self, config: uvicorn.Config, ready_line: str) -> None:
        super().__init__(config)
        self._ready_line = ready_line
        # uvicorn raises the signal again when it has drained: this handler makes that harmless.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(self._ready_line + "\n")
            sys.stdout.flush()


def serve(settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises :class:`interlock.errors.InterlockError` if it cannot start."""
    listener = bind(settings.host, settings.port)
    with listener:
        started = perf_counter()
        with model_folder(settings.storage_uri, storage_endpoint=settings.storage_endpoint) as folder:
            model = load_model(folder)
        ready = {
            "ready": True,
            "port": listener.getsockname()[1],
            "load_seconds": round(perf_counter() - started, 4),
            "resident_mb": resident_mb(),
        }
        config = uvicorn.Config(
            build_app(model, settings),
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=settings.drain_seconds,
        )
        ReadyServer(config, msgspec.json.encode(ready).decode()).run(sockets=[listener])


def build_app(model: Model, settings: ServerSettings) -> Any:
    """The application; a model without a version is named by the first digits of its digest."""
    return App(
        model,
        version=settings.version or model.manifest.model_sha256[:12],
        health_route=settings.health_route,
        predict_route=settings.predict_route,
    )


def bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet; port 0 takes a free one."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise EnvironmentProblem(
            f"cannot bind {host}:{port}: {error.strerror or error}; set AIP_HTTP_PORT (0: any free port)"
        ) from error
    return listener


def resident_mb() -> float:
    """Memory of this process in MB; 0 where the system has no /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    return round(int(line.split()[1]) / 1024, 1)
