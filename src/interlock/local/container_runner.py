"""Runs a step's compiled command in a container of its image: what ``--runner docker`` does.

A step sees the state folder and the job's scratch folder at the paths they have here, so that the paths in kfp's
executor input, and a warehouse that is a file, mean the same inside. It is on the network of the host: the emulators
listen on loopback only, and a step is told their loopback addresses. The other way, emulators that listen on Docker's
bridge, would open them to every container of the machine. A step runs as the user who started the emulator, and
without rights.
"""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interlock.errors import EnvironmentProblem
from interlock.local.command import containers as containers_of
from interlock.local.containers import labels, require_daemon, require_images
from interlock.local.failure import failure_line
from interlock.local.step_runner import current_step
from interlock.local.steps import RunningSteps, run_plain

# Secrets and switches a step may need; the rest of this machine's environment stays outside.
PASSED_ON = ("INTERLOCK_TOKEN", "PGPASSWORD", "NO_GCE_CHECK")


class ContainerRunner:
    """``folders`` are mounted into every step of ``job``; ``variables`` go to every step of ``spec``."""

    def __init__(
        self,
        spec: dict[str, Any],
        *,
        job: str,
        state: Path,
        folders: Sequence[Path],
        process_environment: Mapping[str, str],
        variables: Mapping[str, str],
        steps: RunningSteps,
    ) -> None:
        self._containers = list(containers_of(spec).values())
        self._marks = labels(state, job)
        self._folders = folders
        self._process_environment = process_environment
        self._variables = variables
        self._steps = steps

    def require(self) -> None:
        """:class:`EnvironmentProblem` if a step could not be started."""
        try:
            require_daemon()
            require_images(container["image"] for container in self._containers)
        except EnvironmentProblem as error:
            raise EnvironmentProblem(f"steps run in containers (--runner docker), but {error}") from error

    def run(self, image: str, command: list[str], task_variables: dict[str, str]) -> int:
        """Exit code of the step, -signal if killed."""
        step = current_step.get()
        step.ran = True
        name = f"interlock-{uuid.uuid4().hex[:12]}"
        run = ["docker", "run", "--name", name, *self._marks, *self._options({**self._variables, **task_variables})]
        run += self._program(image, command)
        code = run_plain(run, self._process_environment, step.log, self._steps)
        if code < 0:  # only the client was killed
            subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False)
        if code - 128 in signal.valid_signals():
            code = 128 - code
        if code != 0:
            step.error = failure_line(step.log, code)
        return code

    def _options(self, variables: Mapping[str, str]) -> list[str]:
        options = ["--rm", "--init", "--pull", "never", "--network", "host", "--user", f"{os.getuid()}:{os.getgid()}"]
        options += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        for folder in self._folders:
            options += ["--mount", f"type=bind,source={folder},target={folder}"]
        # HOME: the user may have none in the image. Unbuffered: a log that is read while the step runs.
        for variable, value in {"HOME": "/tmp", "PYTHONUNBUFFERED": "1", **variables}.items():
            options += ["--env", f"{variable}={value}"]
        for secret in PASSED_ON:  # by name: no value on a command line
            options += ["--env", secret] if secret in self._process_environment else []
        return options

    def _program(self, image: str, command: list[str]) -> list[str]:
        """What runs in the container: arguments alone go to the entry point of the image, as on Kubernetes."""
        commands = [each.get("command", []) for each in self._containers if each["image"] == image]
        if not command or ([] in commands and command[:1] not in [each[:1] for each in commands]):
            return [image, *command]
        return ["--entrypoint", command[0], image, *command[1:]]
