"""The private places of kfp.local that interlock.local replaces are where they were."""

from __future__ import annotations

import importlib.metadata
import inspect
from typing import Any

from kfp.dsl import component_factory
from kfp.local import (
    executor_input_utils,
    executor_output_utils,
    pipeline_orchestrator,
    subprocess_task_handler,
    task_dispatcher,
)
from kfp.local.orchestrator import dag_orchestrator, enhanced_dag_orchestrator, task_executor

from interlock.local.command import PROGRAM
from interlock.local.kfp_hooks import TESTED_VERSION, hooked


def test_kfp_is_the_version_the_hooks_were_tested_with() -> None:
    assert importlib.metadata.version("kfp") == TESTED_VERSION == "2.17.0"


def test_hooked_names_are_looked_up_when_called() -> None:
    assert "subprocess_task_handler.SubprocessTaskHandler" in inspect.getsource(
        task_dispatcher.run_single_task_implementation
    )
    dispatcher = inspect.getsource(task_dispatcher.run_single_task_implementation)
    assert "executor_input_utils.construct_executor_input(" in dispatcher
    assert "executor_output_utils.get_outputs_for_task(" in dispatcher
    for caller in (dag_orchestrator.run_dag, enhanced_dag_orchestrator.execute_task):
        assert "task_executor.execute_single_task(" in inspect.getsource(caller)
    assert "dag_orchestrator.run_dag(" in inspect.getsource(pipeline_orchestrator._run_local_pipeline_implementation)
    assert list(inspect.signature(dag_orchestrator.run_dag).parameters) == list(
        inspect.signature(enhanced_dag_orchestrator.run_enhanced_dag).parameters
    )
    run_dag = inspect.getsource(enhanced_dag_orchestrator.run_enhanced_dag)
    assert "ConditionEvaluator()" in run_dag
    assert "condition_evaluator.evaluate_condition(\n" in run_dag
    assert "_run_parallel_for_task(\n" in run_dag
    assert "executor_input_utils.get_local_pipeline_resource_name(" in inspect.getsource(
        pipeline_orchestrator._run_local_pipeline_implementation
    )


def test_the_handler_takes_what_the_original_takes() -> None:
    original = inspect.signature(subprocess_task_handler.SubprocessTaskHandler.__init__)
    with hooked(
        job="j", run_command=lambda *_: 0, around_task=lambda execute: execute, conditions={}, saw_inputs=print
    ):
        ours = inspect.signature(subprocess_task_handler.SubprocessTaskHandler.__init__)
    assert list(ours.parameters) == list(original.parameters)


def test_everything_is_put_back() -> None:
    def places() -> list[Any]:
        return [
            subprocess_task_handler.SubprocessTaskHandler,
            task_executor.execute_single_task,
            executor_input_utils.get_local_pipeline_resource_name,
            enhanced_dag_orchestrator.ConditionEvaluator,
            enhanced_dag_orchestrator._run_parallel_for_task,
            dag_orchestrator.run_dag,
            executor_input_utils.construct_executor_input,
            executor_output_utils.get_outputs_for_task,
        ]

    before = places()
    with hooked(
        job="j",
        run_command=lambda *_: 0,
        around_task=lambda execute: lambda **_: ({}, None),
        conditions={},
        saw_inputs=print,
    ):
        assert all(now is not then for now, then in zip(places(), before, strict=True))
        assert executor_input_utils.get_local_pipeline_resource_name("x") == "j"
    assert places() == before


def test_the_shell_program_is_the_one_that_warm_interpreters_stand_in_for() -> None:
    def body() -> str:
        return ""

    command, _ = component_factory._get_command_and_args_for_lightweight_component(body)
    assert " ".join(command[2].split()) == PROGRAM
