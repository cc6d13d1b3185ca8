"""One process per pipeline job: ``python -m interlock.local.job JOBFILE``."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from interlock.emulator.children import end_child, last_lines, start_child
from interlock.emulator.job_events import Event, JobEvent
from interlock.errors import EnvironmentProblem
from interlock.local.containers import remove_job

_STOP_SECONDS = 10.0


class JobRun(msgspec.Struct, frozen=True):
    """What is run: a compiled pipeline with its parameter values."""

    job: str
    spec: dict[str, Any]
    parameters: dict[str, Any]
    fail_fast: bool


_decode = msgspec.json.Decoder(Event).decode
log = logging.getLogger(__name__)


class JobProcesses:
    """Runs jobs, reports their events, and ends them with the emulator."""

    def __init__(self, state: Path, storage_endpoint: str, runner: str) -> None:
        self._state = state.absolute()
        self._runner = runner
        self._environment = {"STORAGE_EMULATOR_HOST": storage_endpoint} if storage_endpoint else {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._cancelled: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    def start(self, run: JobRun, report: Callable[[Event], None]) -> None:
        """Run a job in the background; the last event reported is a :class:`JobEvent`, whatever happens."""
        task = asyncio.create_task(self._run(run, report))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self, job: str) -> None:
        """Ask a job to end; one whose process is only just starting ends as soon as it has."""
        self._cancelled.add(job)
        if job in self._processes:
            self._end(self._processes[job])

    def _end(self, process: asyncio.subprocess.Process) -> None:
        task = asyncio.create_task(end_child(process, _STOP_SECONDS))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End all jobs without reporting: the next start finds them unfinished and says so."""
        self._stopping = True
        await asyncio.gather(*(end_child(process, _STOP_SECONDS) for process in list(self._processes.values())))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, run: JobRun, report: Callable[[Event], None]) -> None:
        job = run.job
        folder = self._state / "jobs" / job
        job_file = folder / "job.json"
        errors = folder / "process.log"
        description = {
            "job": job,
            "pipeline_spec": run.spec,
            "parameters": run.parameters,
            "pipeline_root": str(self._state / "pipeline_root"),
            "log_dir": str(folder / "logs"),
            "state": str(self._state),
            "environment": self._environment,
            "owner": os.getpid(),
            "fail_fast": run.fail_fast,
            "runner": self._runner,
        }
        command = [sys.executable, "-m", "interlock.local.job", str(job_file)]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            job_file.write_bytes(msgspec.json.encode(description))
            process = await start_child(command, self._environment, errors, signal.SIGTERM)
        except OSError as error:
            report(JobEvent("FAILED", f"the job's process cannot be started: {error}"))
            return
        self._processes[job] = process
        if job in self._cancelled:
            self._end(process)
        try:
            verdict = await self._read(process, report)
            code = await process.wait()
        finally:
            del self._processes[job]
            self._cancelled.discard(job)
        if verdict is None and self._runner == "docker":
            await self._clear_up(job)
        if not self._stopping:
            missing = f"the job's process ended with exit code {code} and no verdict: {last_lines(errors)}"
            report(verdict or JobEvent("FAILED", missing))

    async def _clear_up(self, job: str) -> None:
        """Remove the containers of a job whose process was killed."""
        try:
            await asyncio.to_thread(remove_job, self._state, job)
        except EnvironmentProblem as error:
            log.warning("%s; then the next start removes them", error)

    async def _read(self, process: asyncio.subprocess.Process, report: Callable[[Event], None]) -> JobEvent | None:
        """Report task events; the verdict is returned, to be reported once the process is gone."""
        assert process.stdout is not None
        verdict = None
        async for line in process.stdout:
            try:
                event = _decode(line)
            except msgspec.MsgspecError as error:
                log.warning("job wrote a line that is not an event: %s: %r", error, line[:200])
                continue
            if isinstance(event, JobEvent):
                verdict = event
            elif not self._stopping:
                report(event)
        return verdict
