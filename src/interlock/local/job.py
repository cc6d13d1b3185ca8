"""``python -m interlock.local.job JOBFILE``: run one compiled pipeline and report it on stdout.

::

    preflight --image without environment, wrong parameter--> FAILED
        |
     running --all tasks done--> SUCCEEDED      --a task failed--> FAILED
        |
        +--SIGTERM or SIGINT--> steps killed --> CANCELLED
        +--nobody reads stdout, or the parent is gone--> steps killed, end

JOBFILE is JSON: see :class:`Job`. Events: see :mod:`interlock.local.events`. Exit code 0 when there is a
verdict, 2 when JOBFILE cannot be used. What kfp itself prints goes to ``<log_dir>/job.log``.
"""

from __future__ import annotations

import logging
import os
import re
import select
import signal
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Literal

import msgspec

from interlock.errors import InterlockError
from interlock.local.container_runner import ContainerRunner
from interlock.local.containers import remove_job
from interlock.local.events import EventWriter
from interlock.local.kfp_hooks import RunCommand, run_pipeline
from interlock.local.parameters import convert_parameters
from interlock.local.python_images import environments_of
from interlock.local.step_runner import StepRunner
from interlock.local.steps import RunningSteps
from interlock.local.task_reports import TaskReports
from interlock.local.warm_pool import WarmPool
from interlock.settings import LocalSettings, local_settings

POLL_SECONDS = 0.2
# After a cancel, kfp.local may be asleep between two attempts of a task; nobody waits for that.
UNWIND_SECONDS = 2.0
COLOUR = re.compile(r"\x1b\[\d+m")

logger = logging.getLogger(__name__)


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to run. Outputs go to ``<pipeline_root>/<job>/<component>/``.

    ``environment``: variables for every step. ``state``: folder for what jobs share.
    ``owner``: pid without which warm interpreters end; 0 is the process that started the job. ``fail_fast``: after
    the first failure no further task starts, exit handlers apart; else only those that depend on it do not.
    ``cache``: folder of task outputs, '' for one in ``state``. ``runner``: what a step is, a process in the environment
    of its image or a Docker container of it.
    """

    job: str
    pipeline_spec: dict[str, Any]
    parameters: dict[str, Any] = {}
    pipeline_root: str
    log_dir: str
    state: str
    environment: dict[str, str] = {}
    owner: int = 0
    fail_fast: bool = False
    cache: str = ""
    runner: Literal["process", "docker"] = "process"


def main(arguments: list[str]) -> int:
    try:
        job = msgspec.json.decode(Path(arguments[0]).read_bytes(), type=Job)
        Path(job.log_dir).mkdir(parents=True, exist_ok=True)
    except (OSError, IndexError, msgspec.MsgspecError) as error:
        sys.stderr.write(f"job file cannot be used: {error}\n")
        return 2
    parent = os.getppid()
    signal.signal(signal.SIGTERM, _Cancel.ask)
    signal.signal(signal.SIGINT, _Cancel.ask)
    output = _take_stdout(Path(job.log_dir) / "job.log")
    with tempfile.TemporaryDirectory(prefix="job-", ignore_cleanup_errors=True) as scratch:
        finished = _supervise(job, output, parent, Path(scratch))
    if not finished:
        os._exit(0)  # the verdict is out; a normal end would wait for kfp's thread
    return 0


class _Cancel:
    """Set by a signal handler, which must take no lock."""

    asked = False

    @classmethod
    def ask(cls, *_: object) -> None:
        cls.asked = True


def _supervise(job: Job, output: int, parent: int, scratch: Path) -> bool:
    """Run the job in a thread and see it to its verdict; False if the thread has not ended by then."""
    events = EventWriter(output)
    steps = RunningSteps()
    reports = TaskReports(events, Path(job.log_dir), steps, fail_fast=job.fail_fast)
    executor = ThreadPoolExecutor(1, thread_name_prefix="pipeline")
    future = executor.submit(run_job, job, reports, steps, scratch, local_settings())
    while not future.done() and not _Cancel.asked and not _abandoned(output, parent):
        wait([future], timeout=POLL_SECONDS)
    if future.done():
        _report_verdict(future, events, reports)
        return True
    steps.cancel()
    wait([future], timeout=UNWIND_SECONDS)
    try:
        if job.runner == "docker":
            remove_job(Path(job.state), job.job)
    finally:
        events.close("CANCELLED", "cancelled")
    return future.done()


def run_job(job: Job, reports: TaskReports, steps: RunningSteps, scratch: Path, settings: LocalSettings) -> None:
    """Check everything that can be checked before a step runs, then run. Raises when the job fails."""
    parameters = convert_parameters(job.pipeline_spec, job.parameters)
    run_command = (_containers if job.runner == "docker" else _processes)(job, steps, scratch, settings)
    run_pipeline(
        job.pipeline_spec,
        parameters,
        job=job.job,
        pipeline_root=Path(job.pipeline_root).absolute(),
        workspace=scratch / "workspace",
        cache=Path(job.cache or Path(job.state) / "task-cache").absolute(),
        run_command=run_command,
        around_task=reports.around,
        saw_inputs=reports.saw_inputs,
    )


def _processes(job: Job, steps: RunningSteps, scratch: Path, settings: LocalSettings) -> RunCommand:
    """Steps as processes in the environments of their images; raises if there is none for one."""
    environments = environments_of(
        job.pipeline_spec,
        root=settings.environments,
        cache=Path(job.state).absolute() / "environments",
        search_path=settings.process_environment.get("PATH", ""),
    )
    pool = WarmPool(
        Path(job.state),
        owner=job.owner or os.getppid(),
        idle_seconds=settings.warm_idle_seconds,
        process_environment=settings.process_environment,
        variables=job.environment,
    )
    runner = StepRunner(
        environments=environments,
        process_environment=settings.process_environment,
        variables=job.environment,
        scratch=scratch,
        steps=steps,
        warm_pool=pool if settings.warm else None,
    )
    runner.start_warm()
    return runner.run


def _containers(job: Job, steps: RunningSteps, scratch: Path, settings: LocalSettings) -> RunCommand:
    """Steps as containers of their images; raises if one could not be started."""
    state, root = Path(job.state).absolute(), Path(job.pipeline_root).absolute()
    root.mkdir(parents=True, exist_ok=True)
    runner = ContainerRunner(
        job.pipeline_spec,
        job=job.job,
        state=state,
        folders=[state, scratch, *([] if root.is_relative_to(state) else [root])],
        process_environment=settings.process_environment,
        variables=job.environment,
        steps=steps,
    )
    runner.require()
    return runner.run


def _report_verdict(future: Future[None], events: EventWriter, reports: TaskReports) -> None:
    error = future.exception()
    if error is None:
        events.close("SUCCEEDED")
        return
    logger.error("job failed", exc_info=error)
    if reports.first_failure:
        events.close("FAILED", reports.first_failure)
    elif isinstance(error, InterlockError):
        events.close("FAILED", str(error))
    else:
        events.close("FAILED", COLOUR.sub("", f"{type(error).__name__}: {error}; see job.log"))


def _take_stdout(log: Path) -> int:
    """A descriptor for the events; what anything prints from now on goes to ``log``."""
    output = os.dup(1)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    return output


def _abandoned(output: int, parent: int) -> bool:
    """Whether the reader of the events has closed its end, or the process that started this one is gone."""
    poll = select.poll()
    poll.register(output, 0)
    broken = any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))
    return broken or os.getppid() != parent


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
