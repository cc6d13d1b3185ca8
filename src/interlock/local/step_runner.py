"""Runs a step's compiled command in the environment of its image: warm if possible, else a new process."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interlock.local.command import LightweightCommand, parse_command
from interlock.local.environments import Environment
from interlock.local.failure import failure_line
from interlock.local.python_images import Need, need_of
from interlock.local.steps import RunningSteps, run_plain
from interlock.local.warm_pool import READ_AT_IMPORT, WarmPool

logger = logging.getLogger(__name__)


class StepRun:
    """The task that the current thread executes: where its log goes and, once failed, why."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.error = ""
        self.ran = False  # a task taken from the cache runs nothing
        self.inputs: dict[str, Any] = {}
        self.input_artifacts: dict[str, str] = {}


current_step: contextvars.ContextVar[StepRun] = contextvars.ContextVar("current_step")


class StepRunner:
    """``environments`` by what steps need; ``variables`` and ``TMPDIR`` = ``scratch`` go to every step."""

    def __init__(
        self,
        *,
        environments: Mapping[Need, Environment],
        process_environment: Mapping[str, str],
        variables: Mapping[str, str],
        scratch: Path,
        steps: RunningSteps,
        warm_pool: WarmPool | None,
    ) -> None:
        self._environments = environments
        self._process_environment = process_environment
        self._variables = dict(variables)
        self._scratch = scratch
        self._steps = steps
        self._warm_pool = warm_pool

    def start_warm(self) -> None:
        """Let the environments of this job load while its first step starts."""
        if self._warm_pool is not None:
            for environment in {each.name: each for each in self._environments.values() if each.preload}.values():
                self._warm_pool.start(environment)

    def run(self, image: str, command: list[str], task_variables: dict[str, str]) -> int:
        """Exit code of the step, -signal if killed."""
        step = current_step.get()
        step.ran = True
        parsed = parse_command(command)
        environment = self._environments[need_of(image, parsed)]
        variables = {**self._variables_of(environment), **task_variables}
        code = None
        if parsed and parsed.standard and not any(name.startswith(READ_AT_IMPORT) for name in task_variables):
            code = self._run_warm(environment, parsed, variables, step.log)
        if code is None:
            code = run_plain(parsed.command if parsed else command, variables, step.log, self._steps)
        if code != 0:
            step.error = failure_line(step.log, code)
        return code

    def _run_warm(
        self,
        environment: Environment,
        command: LightweightCommand,
        variables: Mapping[str, str],
        log: Path,
    ) -> int | None:
        if self._warm_pool is None or not environment.preload:
            return None
        code = self._warm_pool.run(environment, command, variables, log, self._steps)
        if code is None and not self._steps.cancelled:
            logger.warning("no warm interpreter for %s: the step starts a new one", environment.name)
        return code

    def _variables_of(self, environment: Environment) -> dict[str, str]:
        binaries = environment.python.parent
        given = {**self._process_environment, **environment.variables, **self._variables}
        return {
            **given,
            "PATH": f"{binaries}:{given.get('PATH', '/usr/bin:/bin')}",
            "VIRTUAL_ENV": str(binaries.parent),
            "PYTHONUNBUFFERED": "1",  # a log that is read while the step runs
            "TMPDIR": str(self._scratch),
        }
