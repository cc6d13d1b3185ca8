"""The emulator process: parts put together, started, and ended in order.

::

    lock ─> clear up containers ─> open store and warehouse ─> bind ─> recover ─> listen, emulator.json
      └──> one line on stderr                                                            │ SIGTERM
                                              flush the log <─ end jobs and servers <─ stop taking requests
"""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import aiohttp
import msgspec
import sqlalchemy as sa
import uvicorn

from interlock.emulator.app import App
from interlock.emulator.dedicated import DedicatedPort
from interlock.emulator.deployments import Deployments
from interlock.emulator.endpoints import Endpoints
from interlock.emulator.evaluations import Evaluations
from interlock.emulator.job_process import JobProcesses
from interlock.emulator.models import Models
from interlock.emulator.names import Location
from interlock.emulator.operations import Operations
from interlock.emulator.pipeline_jobs import PipelineJobs
from interlock.emulator.prediction import Prediction
from interlock.emulator.programs import Programs
from interlock.emulator.relay import StorageRelay
from interlock.emulator.routes import build_routes
from interlock.emulator.schedules import Schedules
from interlock.emulator.serving_log import ServingLog
from interlock.emulator.state import Ready, lock_state, remove_ready, write_ready
from interlock.emulator.store import Store
from interlock.errors import ConfigError, EnvironmentProblem
from interlock.local.containers import remove_all, require_daemon
from interlock.settings import local_settings
from interlock.warehouse import open_warehouse

_SHUTDOWN_SECONDS = 5
_SHORTEST_TOKEN = 16
log = logging.getLogger(__name__)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The command line. ``warehouse`` '' is ``<state>/warehouse.db``; ``port`` 0 is any free one.

    ``token``: what clients must send, '' for none. ``health_seconds`` between checks of a model server.
    ``runner``: what a pipeline step is, "process" or "docker".
    """

    state: Path
    project: str
    location: str
    warehouse: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    storage_endpoint: str = ""
    allow_remote: bool = False
    allow_pickle: bool = False
    token: str = ""
    health_seconds: float = 5.0
    runner: str = "process"


def serve(options: Options, announce: Callable[[Ready], None]) -> None:
    """Serve until SIGTERM or SIGINT; ``announce`` is called once requests are taken."""
    check_host(options.host, options.allow_remote, options.token)
    with lock_state(options.state):
        remove_ready(options.state)
        if options.runner == "docker":
            require_daemon()
        _clear_up(options.state)
        serving_log = ServingLog(_open_warehouse(options.warehouse or f"sqlite:///{options.state}/warehouse.db"))
        store = Store(options.state / "emulator.db")
        with bind(options.host, options.port) as listener:
            emulator = Emulator(options, listener.getsockname()[:2], store, serving_log)
            config = uvicorn.Config(
                emulator,
                http="httptools",
                loop="uvloop",
                ws="none",
                lifespan="on",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            )
            try:
                _Server(config, options, announce).run(sockets=[listener])
            finally:
                remove_ready(options.state)
                store.close()


class Emulator:
    """All parts of one emulator, as an ASGI application."""

    def __init__(self, options: Options, address: tuple[str, int], store: Store, serving_log: ServingLog) -> None:
        self._options = options
        self._address = address
        self._store = store
        self._serving_log = serving_log
        self._app: App | None = None

    async def __call__(self, scope: dict[str, object], receive: object, send: object) -> None:
        """Build the parts on the running loop, then be the application."""
        if self._app is None:
            self._app = self._build()
        await self._app(scope, receive, send)  # type: ignore[arg-type]

    def _build(self) -> App:
        options = self._options
        location = Location(options.project, options.location)
        client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),  # health checks only
            auto_decompress=False,
            trust_env=False,
        )
        self._client = client
        self._relay = StorageRelay(options.storage_endpoint)
        self._operations = operations = Operations(self._store, location)
        self._models = models = Models(self._store, location, operations)
        self._deployments = deployments = Deployments(
            logs=options.state / "servers",
            programs=Programs(
                environments=local_settings().environments,
                state=options.state,
                storage=self._relay,
                allow_pickle=options.allow_pickle,
            ),
            client=client,
            health_seconds=options.health_seconds,
        )
        self._dedicated = DedicatedPort(options.state / "tls", self._address)
        self._endpoints = endpoints = Endpoints(self._store, location, operations, models, deployments, self._dedicated)
        self._processes = processes = JobProcesses(options.state, options.storage_endpoint, options.runner)
        self._jobs = jobs = PipelineJobs(self._store, location, operations, processes)
        self._schedules = schedules = Schedules(self._store, location, operations, jobs)
        routes = build_routes(models, Evaluations(self._store, models), endpoints, jobs, schedules, operations)
        prediction = Prediction(deployments, self._serving_log, location)
        return App(location, routes, prediction, self, token=options.token, servers=deployments.servers)

    async def start(self) -> None:
        """Recover what the last emulator left, before the first request."""
        self._operations.recover()
        self._jobs.recover()
        await self._endpoints.resume()
        self._serving_log.start()
        self._schedules.start()

    async def stop(self) -> None:
        """End what runs, after the last request."""
        await self._schedules.stop()
        await self._operations.stop()
        await self._processes.stop()
        await self._deployments.stop_all()
        await self._relay.stop()
        await self._dedicated.stop()
        await self._client.close()
        self._serving_log.stop()


class _Server(uvicorn.Server):
    """Announces itself once it listens, and does not die of the signal that stops it."""

    def __init__(self, config: uvicorn.Config, options: Options, announce: Callable[[Ready], None]) -> None:
        super().__init__(config)
        self._options = options
        self._announce = announce
        # uvicorn raises the signal again when it has drained: this handler makes that harmless.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started and sockets:
            port = sockets[0].getsockname()[1]
            ready = Ready(os.getpid(), port, f"http://{self._options.host}:{port}")
            write_ready(self._options.state, ready)
            self._announce(ready)


def _clear_up(state: Path) -> None:
    """Remove the containers of an emulator that was killed: their ports and their work belong to nobody now."""
    try:
        removed = remove_all(state)
    except EnvironmentProblem as error:
        log.warning("%s, and start this emulator again", error)
        return
    if removed:
        log.warning("removed %d containers of an emulator that was killed", removed)


def check_host(host: str, allow_remote: bool, token: str) -> None:
    """Refuse to listen beyond this machine unless that was asked for, and clients have to show a token."""
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise ConfigError(f"--host {host!r} is not an IP address: give 127.0.0.1") from error
    if is_loopback:
        return
    if not allow_remote:
        raise ConfigError(f"--host {host} is reachable from other machines: give 127.0.0.1, or --allow-remote")
    if len(token) < _SHORTEST_TOKEN:
        raise ConfigError(
            f"--allow-remote needs a token of {_SHORTEST_TOKEN} characters or more in INTERLOCK_TOKEN: whoever "
            "reaches this port can run code; set it to the output of `openssl rand -hex 16`"
        )


def bind(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise EnvironmentProblem(
            f"cannot bind {host}:{port}: {error.strerror}; give --port 0 for any free port"
        ) from error
    return listener


def _open_warehouse(url: str) -> sa.Engine:
    try:
        return open_warehouse(url)
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise EnvironmentProblem(
            f"warehouse {url} cannot be opened: {error}; give --warehouse sqlite:///PATH"
        ) from error
