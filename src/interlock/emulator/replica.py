"""One model server process behind a deployed model."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
import msgspec
from yarl import URL

from interlock.emulator.children import end_child, last_lines, start_child
from interlock.errors import EnvironmentProblem

_BACK_OFF_SECONDS = (0.2, 1.0, 5.0, 30.0)
_STEADY_SECONDS = 60.0  # a server that lived this long starts its back-off afresh
_STOP_SECONDS = 10.0
log = logging.getLogger(__name__)


class ServerProgram(msgspec.Struct, frozen=True, kw_only=True):
    """How to start a server. It prints ``{"ready": true, "port": N}`` on stdout once it listens."""

    command: Sequence[str]
    environment: Mapping[str, str]
    health_route: str
    predict_route: str
    start_seconds: float


class Replica:
    """A server, started again with back-off when it dies.

    ::

        starting ──healthy──> ready ──exit──> backing off ──> starting
            │ first start only                   (any) ──stop──> stopped
            └──exit or deadline──> EnvironmentProblem with the end of the log
    """

    def __init__(self, program: ServerProgram, log_file: Path, client: aiohttp.ClientSession) -> None:
        self._program = program
        self._client = client
        self._log_file = log_file
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._pump: asyncio.Task[None] | None = None
        self.url: URL | None = None  # None while it cannot take requests

    async def start(self) -> None:
        """Start it for the first time; :class:`EnvironmentProblem` if it does not become healthy."""
        await self._launch()
        self._keeper = asyncio.create_task(self._keep())

    def keep_starting(self) -> None:
        """Start it in the background, as often as it takes: for what was deployed before a restart."""
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End the server for good."""
        self.url = None
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._end_process()

    async def _end_process(self) -> None:
        self.url = None
        if self._process is not None:
            await end_child(self._process, _STOP_SECONDS)
            self._process = None
        if self._pump is not None:
            await asyncio.gather(self._pump, return_exceptions=True)
            self._pump = None

    async def _launch(self) -> None:
        program = self._program
        try:
            async with asyncio.timeout(program.start_seconds):
                self._process = await start_child(program.command, program.environment, self._log_file, signal.SIGKILL)
                port = await self._announced_port(self._process)
                await self._until_healthy(port)
        except TimeoutError as error:
            await self._end_process()
            raise EnvironmentProblem(
                f"model server not healthy after {program.start_seconds:g} s; end of its log: "
                f"{last_lines(self._log_file)}"
            ) from error
        except OSError as error:
            raise EnvironmentProblem(f"model server cannot be started: {error}") from error
        except (EnvironmentProblem, asyncio.CancelledError):
            await self._end_process()
            raise
        self.url = URL(f"http://127.0.0.1:{port}{program.predict_route}")

    async def _announced_port(self, process: asyncio.subprocess.Process) -> int:
        announced: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pump = asyncio.create_task(self._read_output(process, announced))
        await asyncio.wait((announced, self._pump), return_when=asyncio.FIRST_COMPLETED)
        if not announced.done():
            code = await process.wait()
            raise EnvironmentProblem(
                f"model server ended with exit code {code} before it was ready; end of its log: "
                f"{last_lines(self._log_file)}"
            )
        return announced.result()

    async def _read_output(self, process: asyncio.subprocess.Process, announced: asyncio.Future[int]) -> None:
        assert process.stdout is not None
        with self._log_file.open("ab") as file:
            async for line in process.stdout:
                file.write(line)
                file.flush()
                port = _announcement(line)
                if port and not announced.done():
                    announced.set_result(port)

    async def _until_healthy(self, port: int) -> None:
        url = f"http://127.0.0.1:{port}{self._program.health_route}"
        while True:
            try:
                async with self._client.get(url) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            if self._process is None or self._process.returncode is not None:
                raise EnvironmentProblem(f"model server ended while starting: {last_lines(self._log_file)}")
            await asyncio.sleep(0.05)

    async def _keep(self) -> None:
        """Wait for the end of the process and start it again, for ever."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            if self._process is not None:
                started = loop.time()
                code = await self._process.wait()
                self.url = None
                log.warning("model server ended with exit code %s: %s", code, last_lines(self._log_file, 1))
                failures = 0 if loop.time() - started > _STEADY_SECONDS else failures
                await asyncio.sleep(_BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)])
            failures += 1
            try:
                await self._launch()
            except EnvironmentProblem as error:
                log.warning("%s", error)
                await asyncio.sleep(_BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)])


def _announcement(line: bytes) -> int:
    """The port in a ready line, 0 in any other line."""
    try:
        return msgspec.json.decode(line, type=_Ready).port if line.startswith(b"{") else 0
    except msgspec.MsgspecError:
        return 0


class _Ready(msgspec.Struct):
    ready: bool
    port: int
