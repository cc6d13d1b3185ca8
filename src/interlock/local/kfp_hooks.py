"""The three private places of kfp.local 2.17.0 that this runner replaces, all looked up when called.

=========================================================  ==================================================
attribute                                                  why
=========================================================  ==================================================
``subprocess_task_handler.SubprocessTaskHandler``          an environment per image instead of one for all
``orchestrator.task_executor.execute_single_task``         to report tasks by the names of the pipeline's DAG
``executor_input_utils.get_local_pipeline_resource_name``  ``dsl.PIPELINE_JOB_NAME_PLACEHOLDER`` is the job's
=========================================================  ==================================================

tests/unit/local/test_kfp_hooks.py fails when another kfp version moves them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TESTED_VERSION = "2.17.0"

# (image, command, variables) -> exit code
RunCommand = Callable[[str, list[str], dict[str, str]], int]
# kfp's execute_single_task, called by keyword: (outputs, status)
ExecuteTask = Callable[..., tuple[dict[str, Any], Any]]


def run_pipeline(
    spec: dict[str, Any],
    parameters: dict[str, Any],
    *,
    job: str,
    pipeline_root: Path,
    workspace: Path,
    run_command: RunCommand,
    around_task: Callable[[ExecuteTask], ExecuteTask],
) -> None:
    """Run a compiled pipeline to its end. Raises what kfp raises when it fails."""
    from google.protobuf import json_format
    from kfp import local
    from kfp.local import pipeline_orchestrator
    from kfp.pipeline_spec import pipeline_spec_pb2

    message = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(pipeline_root),
        workspace_root=str(workspace),
        raise_on_error=True,
    )
    with hooked(job=job, run_command=run_command, around_task=around_task):
        pipeline_orchestrator.run_local_pipeline(message, parameters)


@contextlib.contextmanager
def hooked(*, job: str, run_command: RunCommand, around_task: Callable[[ExecuteTask], ExecuteTask]) -> Iterator[None]:
    """Within the context, kfp.local runs commands by ``run_command`` and tasks through ``around_task``."""
    from kfp.local import executor_input_utils, subprocess_task_handler
    from kfp.local.orchestrator import task_executor

    with contextlib.ExitStack() as stack:
        stack.enter_context(_replaced(subprocess_task_handler, "SubprocessTaskHandler", _handler_class(run_command)))
        execute = around_task(task_executor.execute_single_task)
        stack.enter_context(_replaced(task_executor, "execute_single_task", execute))
        stack.enter_context(_replaced(executor_input_utils, "get_local_pipeline_resource_name", lambda _name: job))
        yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def _handler_class(run_command: RunCommand) -> type:
    from kfp.local import status

    class EnvironmentTaskHandler:
        """What kfp.local asks of a task handler: this constructor, and ``run``."""

        def __init__(
            self,
            image: str,
            full_command: list[str],
            pipeline_root: str,
            runner: object,
            env_vars: dict[str, str] | None = None,
        ) -> None:
            self._image = image
            self._command = full_command
            self._variables = env_vars or {}

        def run(self) -> Any:
            code = run_command(self._image, self._command, self._variables)
            return status.Status.SUCCESS if code == 0 else status.Status.FAILURE

    return EnvironmentTaskHandler
