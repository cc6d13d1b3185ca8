"""One model server process behind a deployed model."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path

import aiohttp
import msgspec

from interlock.emulator.children import end_child, last_lines, start_child
from interlock.emulator.programs import ServerProgram
from interlock.emulator.rpc import Document
from interlock.emulator.upstream import Upstream
from interlock.emulator.usage import used
from interlock.errors import EnvironmentProblem
from interlock.local.containers import first_process

_BACK_OFF_SECONDS = (0.2, 1.0, 5.0, 30.0)
_STEADY_SECONDS = 60.0  # a server that lived this long starts its back-off afresh
_STOP_SECONDS = 10.0
_FAILED_CHECKS = 3  # in a row, before a server that lives and does not answer is started again
log = logging.getLogger(__name__)


class Replica:
    """A server, checked every ``health_seconds``, started again with back-off when it dies or hangs.

    ::

        starting ──healthy──> ready <──healthy── not answering ──3 checks failed──> killed
            │                   ├──check failed──────┘                                 │
            │                   └──exit──> backing off <───────────────────────────────┘
            │ first start only                  └──> starting            (any) ──stop──> stopped
            └──exit or deadline──> EnvironmentProblem with the end of the log
    """

    def __init__(
        self, program: ServerProgram, log_file: Path, client: aiohttp.ClientSession, health_seconds: float
    ) -> None:
        self._program = program
        self._client = client
        self._log_file = log_file
        self._health_seconds = health_seconds
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._starts = 0
        self._port = 0
        self._first_process = 0  # of a container, as this machine numbers it
        self.in_flight = 0
        self._listening: Upstream | None = None
        self.upstream: Upstream | None = None  # None while it cannot take requests

    def usage(self) -> Document:
        """Process id (in a container, that of its client), memory, processor time and restarts."""
        pid = self._process.pid if self._process is not None else 0
        memory, seconds = used(self._first_process or pid)
        return {
            "pid": pid,
            "url": f"http://127.0.0.1:{self._port}{self._program.predict_route}",
            "ready": self.upstream is not None,
            "memoryMb": memory,
            "cpuSeconds": seconds,
            "restarts": max(0, self._starts - 1),
            "requestsInFlight": self.in_flight,
            "log": str(self._log_file),
        }

    async def start(self) -> None:
        """Start it for the first time; :class:`EnvironmentProblem` if it does not become healthy."""
        await self._launch()
        self._keeper = asyncio.create_task(self._keep())

    def keep_starting(self) -> None:
        """Start it in the background, as often as it takes: for what was deployed before a restart."""
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End the server for good."""
        self._leave()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._end_process()

    async def _end_process(self) -> None:
        self._leave()
        if self._process is not None:
            await end_child(self._process, _STOP_SECONDS)
            self._process = None
            await self._clear_up()
        if self._pump is not None:
            await asyncio.gather(self._pump, return_exceptions=True)
            self._pump = None

    async def _clear_up(self) -> None:
        """Remove the container of a client that was killed, so that nothing answers in the name of this server."""
        if not self._program.ending:
            return
        nowhere = asyncio.subprocess.DEVNULL  # mostly it says that there is no such container
        ending = await asyncio.create_subprocess_exec(*self._program.ending, stdout=nowhere, stderr=nowhere)
        try:
            await asyncio.wait_for(ending.wait(), _STOP_SECONDS)
        except TimeoutError:
            ending.kill()
            log.warning("%s is not done after %g s", " ".join(self._program.ending), _STOP_SECONDS)

    async def _launch(self) -> None:
        self._program = program = self._program.anew()
        try:
            async with asyncio.timeout(program.start_seconds):
                self._starts += 1
                self._process = await start_child(program.command, program.environment, self._log_file, signal.SIGKILL)
                self._port = await self._listening_port(self._process)
                await self._until_healthy()
                self._first_process = await asyncio.to_thread(first_process, program.name) if program.name else 0
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
        self._listening = self.upstream = Upstream(self._port, program.predict_route)

    def _leave(self) -> None:
        """Take no more requests; those in flight go on."""
        self.upstream = None
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    async def _listening_port(self, process: asyncio.subprocess.Process) -> int:
        announced: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pump = asyncio.create_task(self._read_output(process, announced))
        if self._program.port:
            return self._program.port
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

    async def _until_healthy(self) -> None:
        while not await self._is_healthy(timeout=None):
            if self._process is None or self._process.returncode is not None:
                raise EnvironmentProblem(f"model server ended while starting: {last_lines(self._log_file)}")
            await asyncio.sleep(0.05)

    async def _is_healthy(self, timeout: float | None) -> bool:
        url = f"http://127.0.0.1:{self._port}{self._program.health_route}"
        try:
            async with self._client.get(url, timeout=aiohttp.ClientTimeout(total=timeout)) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _keep(self) -> None:
        """Watch the process, and start it again when it has ended, for ever."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            if self._process is not None:
                started = loop.time()
                code = await self._watch(self._process)
                self._leave()
                await self._clear_up()
                log.warning("model server ended with exit code %s: %s", code, last_lines(self._log_file, 1))
                failures = 0 if loop.time() - started > _STEADY_SECONDS else failures
                await asyncio.sleep(_BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)])
            failures += 1
            try:
                await self._launch()
            except EnvironmentProblem as error:
                log.warning("%s", error)
                await asyncio.sleep(_BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)])

    async def _watch(self, process: asyncio.subprocess.Process) -> int:
        """Exit code of ``process``, which is killed when it stops answering health checks."""
        failed = 0
        ended = asyncio.ensure_future(process.wait())
        while not (await asyncio.wait({ended}, timeout=self._health_seconds))[0]:
            if await self._is_healthy(self._health_seconds):
                failed = 0
                self.upstream = self._listening
                continue
            failed += 1
            self.upstream = None  # no new request until it answers again
            if failed == _FAILED_CHECKS:
                log.warning("model server %d failed %d health checks: killed", process.pid, failed)
                process.kill()
        return ended.result()


def _announcement(line: bytes) -> int:
    """The port in a ready line, 0 in any other line."""
    try:
        return msgspec.json.decode(line, type=_Ready).port if line.startswith(b"{") else 0
    except msgspec.MsgspecError:
        return 0


class _Ready(msgspec.Struct):
    ready: bool
    port: int
