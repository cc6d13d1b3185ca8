"""Turns kfp.local's execution of tasks into events."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from interlock.local.events import EventWriter
from interlock.local.kfp_hooks import ExecuteTask
from interlock.local.step_runner import StepRun, current_step
from interlock.local.steps import RunningSteps


class Cancelled(Exception):
    """Stops kfp from going on to the next task, exit tasks included."""


class TaskReports:
    """Reports every task and remembers the first failure.

    A task that runs more than once (in a loop) has one log for each: ``score.log``, ``score-2.log``.
    """

    def __init__(self, events: EventWriter, log_dir: Path, steps: RunningSteps, *, fail_fast: bool = False) -> None:
        self.first_failure = ""
        self._fail_fast = fail_fast
        self._events = events
        self._log_dir = log_dir
        self._steps = steps
        self._lock = threading.Lock()

    def around(self, execute: ExecuteTask) -> ExecuteTask:
        """``execute``, with events before and after it."""

        def execute_and_report(*, task_name: str, task_spec: Any, **rest: Any) -> tuple[dict[str, Any], Any]:
            if self._steps.cancelled:
                raise Cancelled(task_name)
            if self._fail_fast and self.first_failure and not _is_exit_task(task_spec):
                self._events.task(task_name, "NOT_TRIGGERED", log="")
                return {}, _failure()
            with _Report(self, task_name, _is_container(task_spec, rest)) as report:
                report.outputs, report.status = execute(task_name=task_name, task_spec=task_spec, **rest)
            return report.outputs, report.status

        return execute_and_report

    def saw_inputs(self, executor_input: Any) -> None:
        """Remember what goes into the current task: parameters by value, artifacts by URI."""
        from google.protobuf import json_format

        step = current_step.get()
        inputs = executor_input.inputs
        step.inputs = {name: json_format.MessageToDict(value) for name, value in inputs.parameter_values.items()}
        step.input_artifacts = {
            name: group.artifacts[0].uri for name, group in inputs.artifacts.items() if group.artifacts
        }

    def started(self, name: str) -> StepRun:
        step = StepRun(self._new_log(name))
        self._events.task(name, "RUNNING", log=str(step.log))
        return step

    def succeeded(self, name: str, step: StepRun, outputs: dict[str, Any], *, cached: bool) -> None:
        state = "SKIPPED" if cached else "SUCCEEDED"  # the words of Vertex AI
        self._events.task(name, state, log=str(step.log), **_given(step), **_split(outputs))

    def failed(self, name: str, step: StepRun, error: str) -> None:
        if self._steps.cancelled:
            self._events.task(name, "CANCELLED", log=str(step.log), error="cancelled", **_given(step))
            return
        with self._lock:
            self.first_failure = self.first_failure or f"task {name} failed: {error}"
        self._events.task(name, "FAILED", log=str(step.log), error=error, **_given(step))

    def _new_log(self, name: str) -> Path:
        with self._lock:
            number = 1
            path = self._log_dir / f"{name}.log"
            while path.exists():
                number += 1
                path = self._log_dir / f"{name}-{number}.log"
            path.touch()
            return path


class _Report:
    """One execution of one task. An exception of kfp's own is reported and goes on its way."""

    def __init__(self, reports: TaskReports, name: str, is_container: bool) -> None:
        self._is_container = is_container
        self.outputs: dict[str, Any] = {}
        self.status: Any = None
        self._reports = reports
        self._name = name

    def __enter__(self) -> _Report:
        self._step = self._reports.started(self._name)
        self._token = current_step.set(self._step)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _where: TracebackType | None
    ) -> None:
        current_step.reset(self._token)
        if error is not None:
            self._reports.failed(self._name, self._step, f"{type(error).__name__}: {error}")
        elif self.status.name == "SUCCESS":
            cached = not self._step.ran and self._is_container
            self._reports.succeeded(self._name, self._step, self.outputs, cached=cached)
        else:
            self._reports.failed(self._name, self._step, self._step.error)


def _given(step: StepRun) -> dict[str, Any]:
    return {"inputs": step.inputs, "input_artifacts": step.input_artifacts}


def _split(outputs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Parameters by value, artifacts by URI. kfp's artifacts are the values that have a ``uri``."""
    artifacts = {name: value for name, value in outputs.items() if hasattr(value, "uri")}
    return {
        "outputs": {name: value for name, value in outputs.items() if name not in artifacts},
        "artifacts": {name: value.uri for name, value in artifacts.items()},
        "metadata": {name: dict(value.metadata) for name, value in artifacts.items() if value.metadata},
    }


def _is_container(task_spec: Any, about: dict[str, Any]) -> bool:
    """Whether the task runs a command; an importer does not."""
    label = about["components"][task_spec.component_ref.name].executor_label
    return bool(about["executors"][label].WhichOneof("spec") == "container")


def _is_exit_task(task_spec: Any) -> bool:
    return any(given.HasField("task_final_status") for given in task_spec.inputs.parameters.values())


def _failure() -> Any:
    from kfp.local import status

    return status.Status.FAILURE
