"""The server, one process or several.

::

    bind the port ──> fetch, check, load, warm the model ──> listen, say ready ──SIGTERM──> drain ──> exit 0
         │ in use             │ anything wrong                                     (SIGINT)
         └────────────────────┴──> one line on stderr, exit code of the error

The port is bound first, so that a taken one is known before a long download, but nothing listens on it before
the model has answered: a health check is refused until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any, Final

import msgspec
import uvicorn

from interlock.errors import EnvironmentProblem
from interlock.serving.app import App
from interlock.serving.direct import Batch, DirectProtocol
from interlock.serving.fetch import model_folder
from interlock.serving.logs import configure_logs
from interlock.serving.metrics import Board, Metrics, shared_board
from interlock.serving.model import Model, load_model
from interlock.serving.prediction_log import PredictionLog
from interlock.serving.protocol import Guard
from interlock.serving.workers import WorkerPool
from interlock.settings import ServerSettings

# A client may send nothing for this long between two requests. Longer than proxies keep idle connections, so
# that they close first and never send into a closing one.
_KEEP_ALIVE_SECONDS: Final = 75
_PUBLISH_SECONDS: Final = 0.5

_log = logging.getLogger("interlock.serving")


class ReadyServer(uvicorn.Server):
    """Says so once it listens, watches its connections, and does not die of the signal that stops it."""

    def __init__(self, config: uvicorn.Config, guard: Guard, say_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._guard = guard
        self._say_ready = say_ready
        self._background: list[asyncio.Task[None]] = []
        # uvicorn raises the signal again when it has drained: this handler makes that harmless.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self._background = [
                asyncio.create_task(self._guard.watch(self.server_state.connections)),
                asyncio.create_task(self._publish()),
            ]
            self._say_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain."""
        _log.info("draining %d connections", len(self.server_state.connections))
        await super().shutdown(sockets)
        for task in self._background:
            task.cancel()

    async def _publish(self) -> None:
        while True:
            self._guard.metrics.publish()
            await asyncio.sleep(_PUBLISH_SECONDS)


def serve(settings: ServerSettings) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. :class:`interlock.errors.InterlockError` if it cannot start."""
    configure_logs()
    listener = bind(settings.host, settings.port)
    with listener:
        board = shared_board(settings.workers)
        if settings.workers == 1:
            serve_worker(settings, listener, board, 0, _print_line)
            return 0
        work = partial(serve_worker, settings, listener, board)
        return WorkerPool(work, settings.workers).run(_print_line)


def serve_worker(
    settings: ServerSettings, listener: socket.socket, board: Board, worker: int, say_ready: Callable[[str], None]
) -> None:
    """One process: load, serve, drain."""
    started = perf_counter()
    with model_folder(settings.storage_uri, storage_endpoint=settings.storage_endpoint) as folder:
        model = load_model(folder, fast=True, allow_pickle=settings.allow_pickle)
    version = settings.version or model.manifest.model_sha256[:12]
    metrics = Metrics(
        model_name=model.manifest.name,
        model_version=version,
        model_sha256=model.manifest.model_sha256,
        engine=model.engine,
        board=board,
        worker=worker,
    )
    with contextlib.ExitStack() as closing:
        log = None
        if settings.prediction_log:
            log = PredictionLog(
                Path(settings.prediction_log),
                version=version,
                metrics=metrics,
                share=settings.prediction_log_share,
                worker=worker,
            )
            closing.callback(log.close)
        ready = {
            "ready": True,
            "port": listener.getsockname()[1],
            "load_seconds": round(perf_counter() - started, 4),
            "resident_mb": resident_mb(),
            "engine": model.engine,
            "workers": settings.workers,
        }
        guard = Guard(metrics, settings.max_connections, settings.request_seconds)
        app = build_app(model, settings, metrics, log)
        server = ReadyServer(
            uvicorn_config(
                app,
                partial(DirectProtocol, guard=guard, batch=Batch(app, settings.max_waiting)),
                settings.drain_seconds,
            ),
            guard,
            partial(say_ready, msgspec.json.encode(ready).decode()),
        )
        server.run(sockets=[listener])


def uvicorn_config(app: Any, protocol: Any, drain_seconds: int) -> uvicorn.Config:
    """uvicorn with nothing that is not needed."""
    return uvicorn.Config(
        app,
        http=protocol,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=drain_seconds,
    )


def build_app(
    model: Model, settings: ServerSettings, metrics: Metrics | None = None, log: PredictionLog | None = None
) -> App:
    """The application; a model without a version is named by the first digits of its digest."""
    return App(
        model,
        version=settings.version or model.manifest.model_sha256[:12],
        health_route=settings.health_route,
        predict_route=settings.predict_route,
        metrics=metrics,
        log=log,
    )


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


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
