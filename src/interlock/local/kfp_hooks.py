"""The private places of kfp.local 2.17.0 that this runner replaces, all looked up when called.

=========================================================  ==================================================
attribute                                                  why
=========================================================  ==================================================
``subprocess_task_handler.SubprocessTaskHandler``          an environment per image instead of one for all
``orchestrator.task_executor.execute_single_task``         to report tasks by the names of the pipeline's DAG
``executor_input_utils.get_local_pipeline_resource_name``  ``dsl.PIPELINE_JOB_NAME_PLACEHOLDER`` is the job's
``enhanced_dag_orchestrator.ConditionEvaluator``           conditions on named outputs were silently false
``enhanced_dag_orchestrator._run_parallel_for_task``       loops over named outputs could not be resolved
``dag_orchestrator.run_dag``                               it ends at the first failure, whatever the policy
``executor_input_utils.construct_executor_input``          folders of outputs are made, as the launcher does; it
                                                           tells what goes into a task
``executor_output_utils.get_outputs_for_task``             artifacts of container components were lost
=========================================================  ==================================================

tests/unit/local/test_kfp_hooks.py fails when another kfp version moves them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from interlock.errors import EnvironmentProblem
from interlock.local.conditions import Condition, without_conditions

TESTED_VERSION = "2.17.0"

# (image, command, variables) -> exit code
RunCommand = Callable[[str, list[str], dict[str, str]], int]
# kfp's execute_single_task, called by keyword: (outputs, status)
ExecuteTask = Callable[..., tuple[dict[str, Any], Any]]
# kfp's executor input of a task that is about to run
SawInputs = Callable[[Any], None]


def require_kfp() -> None:
    """:class:`EnvironmentProblem` where kfp is not installed."""
    if importlib.util.find_spec("kfp") is None:
        raise EnvironmentProblem(
            "kfp is not installed beside this emulator, as in image interlock-emulator, which only serves models: "
            "install interlock[ml] and start the emulator from there, or run the pipeline on Kubeflow Pipelines"
        )


def run_pipeline(
    spec: dict[str, Any],
    parameters: dict[str, Any],
    *,
    job: str,
    pipeline_root: Path,
    workspace: Path,
    cache: Path,
    run_command: RunCommand,
    around_task: Callable[[ExecuteTask], ExecuteTask],
    saw_inputs: SawInputs,
) -> None:
    """Run a compiled pipeline to its end. Raises what kfp raises when it fails."""
    from google.protobuf import json_format
    from kfp import local
    from kfp.local import pipeline_orchestrator
    from kfp.pipeline_spec import pipeline_spec_pb2

    keyed, conditions = without_conditions(spec)
    message = json_format.ParseDict(keyed, pipeline_spec_pb2.PipelineSpec())
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(pipeline_root),
        workspace_root=str(workspace),
        raise_on_error=True,
        enable_caching=True,  # as Vertex AI does: each task's own caching options decide
        cache_root=str(cache),
    )
    with hooked(
        job=job, run_command=run_command, around_task=around_task, conditions=conditions, saw_inputs=saw_inputs
    ):
        pipeline_orchestrator.run_local_pipeline(message, parameters)


@contextlib.contextmanager
def hooked(
    *,
    job: str,
    run_command: RunCommand,
    around_task: Callable[[ExecuteTask], ExecuteTask],
    conditions: Mapping[str, Condition],
    saw_inputs: SawInputs,
) -> Iterator[None]:
    """Within the context, kfp.local runs commands by ``run_command`` and tasks through ``around_task``."""
    from kfp.local import executor_input_utils, executor_output_utils, subprocess_task_handler
    from kfp.local.orchestrator import dag_orchestrator, enhanced_dag_orchestrator, task_executor

    with contextlib.ExitStack() as stack:
        stack.enter_context(_replaced(subprocess_task_handler, "SubprocessTaskHandler", _handler_class(run_command)))
        execute = around_task(task_executor.execute_single_task)
        stack.enter_context(_replaced(task_executor, "execute_single_task", execute))
        stack.enter_context(_replaced(executor_input_utils, "get_local_pipeline_resource_name", lambda _name: job))
        evaluator = _evaluator_class(conditions)
        stack.enter_context(_replaced(enhanced_dag_orchestrator, "ConditionEvaluator", evaluator))
        loop = _with_items(enhanced_dag_orchestrator._run_parallel_for_task)
        stack.enter_context(_replaced(enhanced_dag_orchestrator, "_run_parallel_for_task", loop))
        construct = _with_folders(executor_input_utils.construct_executor_input, saw_inputs)
        stack.enter_context(_replaced(executor_input_utils, "construct_executor_input", construct))
        get_outputs = _with_artifacts(executor_output_utils.get_outputs_for_task)
        stack.enter_context(_replaced(executor_output_utils, "get_outputs_for_task", get_outputs))
        stack.enter_context(_replaced(dag_orchestrator, "run_dag", enhanced_dag_orchestrator.run_enhanced_dag))
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


def _evaluator_class(conditions: Mapping[str, Condition]) -> type:
    class DeclaredConditions:
        """What kfp.local asks of its evaluator; ``condition`` is a key of :func:`without_conditions`."""

        @staticmethod
        def evaluate_condition(condition: str, io_store: Any) -> bool:
            found = conditions[condition]
            values = _resolve(found.inputs, io_store)
            return values is not None and found.holds(values)

    return DeclaredConditions


def _resolve(inputs: Mapping[str, Any], io_store: Any) -> dict[str, Any] | None:
    """The values of compiled task inputs, None if one comes from a task that was skipped."""
    from google.protobuf import json_format
    from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils
    from kfp.pipeline_spec import pipeline_spec_pb2

    message = json_format.ParseDict({"parameters": inputs}, pipeline_spec_pb2.TaskInputsSpec())
    producers = {name: spec.task_output_parameter.producer_task for name, spec in message.parameters.items()}
    skipped = [name for name in inputs if producers[name] and not _has_ended(producers[name], io_store)]
    if skipped:
        logging.getLogger(__name__).info("condition is false: %s was skipped", producers[skipped[0]])
        return None
    values: dict[str, Any] = OrchestratorUtils.make_task_arguments(message, io_store)
    return values


def _has_ended(task: str, io_store: Any) -> bool:
    try:
        return bool(io_store.get_task_status(task))
    except ValueError:
        return False


def _with_items(run_loop: Callable[..., bool]) -> Callable[..., bool]:
    """``run_loop`` with the items of a loop over a parameter taken from the task's declared input."""

    def run(*, task_spec: Any, io_store: Any, **rest: Any) -> bool:
        name = task_spec.parameter_iterator.items.input_parameter
        if name in task_spec.inputs.parameters:
            from google.protobuf import json_format

            declared = json_format.MessageToDict(task_spec.inputs.parameters[name])
            values = _resolve({name: declared}, io_store)
            if values is None:
                return False
            items = json.loads(values[name]) if isinstance(values[name], str) else values[name]
            changed = type(task_spec)()
            changed.CopyFrom(task_spec)
            changed.parameter_iterator.items.raw = json.dumps(items)
            task_spec = changed
        return run_loop(task_spec=task_spec, io_store=io_store, **rest)

    return run


def _with_folders(construct: Callable[..., Any], saw_inputs: SawInputs) -> Callable[..., Any]:
    """``construct`` that also makes the folders into which a container component writes, and shows what it made."""

    def construct_and_prepare(**about: Any) -> Any:
        executor_input = construct(**about)
        saw_inputs(executor_input)
        outputs = executor_input.outputs
        paths = [parameter.output_file for parameter in outputs.parameters.values()]
        paths += [artifact.uri for group in outputs.artifacts.values() for artifact in group.artifacts]
        for path in paths:
            if path.startswith("/"):
                Path(path).parent.mkdir(parents=True, exist_ok=True)
        return executor_input

    return construct_and_prepare


def _with_artifacts(get_outputs: Callable[..., Any]) -> Callable[..., Any]:
    """``get_outputs`` that takes the artifacts of a step which reports none, as a container does, from where it
    was told to write them."""

    def get_all_outputs(*, executor_input: Any, component_spec: Any) -> Any:
        report = Path(executor_input.outputs.output_file)
        if not report.exists():
            told = executor_input.outputs.artifacts.items()
            artifacts = {
                name: {"artifacts": [{"name": each.name, "uri": each.uri} for each in group.artifacts]}
                for name, group in told
            }
            report.parent.mkdir(parents=True, exist_ok=True)
            report.write_text(json.dumps({"artifacts": artifacts}))
        return get_outputs(executor_input=executor_input, component_spec=component_spec)

    return get_all_outputs
