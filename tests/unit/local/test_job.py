"""Real compiled pipelines, run by the job process, with and without warm interpreters."""

from collections.abc import Callable
from typing import Any

import pytest
from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output, PipelineTaskFinalStatus

Run = Callable[..., Any]
ml = dsl.component(base_image="registry.example/team/interlock-ml:1.0", install_kfp_package=False)
data = dsl.component(base_image="interlock-data@sha256:0123", install_kfp_package=False)


@ml
def write_table(rows: int, table: Output[Dataset]) -> str:
    import sys
    from pathlib import Path

    import pandas as pd

    Path(table.path).mkdir(parents=True)
    pd.DataFrame({"x": range(rows)}).to_parquet(Path(table.path) / "table.parquet")
    table.metadata["rows"] = rows
    return sys.prefix


@data
def sum_table(table: Input[Dataset], verdict: Output[Artifact]) -> int:
    from pathlib import Path

    import pandas as pd

    total = int(pd.read_parquet(Path(table.path) / "table.parquet")["x"].sum())
    Path(verdict.path).write_text(str(total))
    return total


@data
def where() -> str:
    import sys

    return sys.prefix


@ml
def kind_of(value: int) -> str:
    return f"{type(value).__name__} {value}"


@ml
def say(text: str) -> str:
    return text


@ml
def fail(message: str) -> str:
    from interlock.errors import InputError

    raise InputError(message)


@ml
def settle(status: PipelineTaskFinalStatus) -> str:
    return f"{status.state} {status.pipeline_task_name} {status.error_message}"


@ml
def job_name(name: str) -> str:
    import os

    return f"{name} {os.environ.get('TEAM', '')} {os.environ.get('STEP', '')}"


def test_two_environments_pass_artifacts_and_typed_parameters(run: Run) -> None:
    @dsl.pipeline(name="tables")
    def tables(rows: int = 3) -> None:
        table = write_table(rows=rows)
        sum_table(table=table.outputs["table"])
        where()
        kind_of(value=rows)

    finished = run(tables, {"rows": 5.0})

    assert finished.exit_code == 0
    assert finished.verdict["state"] == "SUCCEEDED", finished.verdict
    assert finished.output("sum-table") == 10
    assert finished.output("kind-of") == "int 5"
    assert finished.output("write-table").endswith("/ml")
    assert finished.output("where").endswith("/data")
    end = finished.end_of("write-table")
    assert end["artifacts"]["table"].endswith("/write-table/table")
    assert end["metadata"]["table"] == {"rows": 5}
    assert finished.states("write-table") == ["RUNNING", "SUCCEEDED"]


@pytest.mark.parametrize(("number", "expected"), [(5, "small"), (50, "large odd-or-even"), (500, "huge")])
def test_nested_branches(jobs: Any, number: int, expected: str) -> None:
    @dsl.pipeline(name="branches")
    def branches(number: int) -> None:
        with dsl.If(number < 10):
            say(text="small").set_display_name("small")
        with dsl.Else():
            inner = say(text="large")
            with dsl.If(number < 100):
                say(text=f"{inner.output} odd-or-even")
            with dsl.Else():
                say(text="huge")

    finished = jobs.run(branches, {"number": float(number)})

    said = [event["outputs"]["Output"] for event in finished.events if event.get("outputs")]
    assert said[-1] == expected
    assert finished.verdict["state"] == "SUCCEEDED"


def test_exit_handler_sees_the_failure_and_the_verdict_names_it(run: Run) -> None:
    @dsl.pipeline(name="guarded")
    def guarded(go: str = "yes") -> None:
        with dsl.ExitHandler(settle(), name="guard"), dsl.If(go == "yes"):
            broken = fail(message="no rows in flights@7: 0 < 1")
            say(text=broken.output)

    finished = run(guarded)

    assert finished.end_of("fail")["state"] == "FAILED"
    assert finished.end_of("fail")["error"] == "InputError: no rows in flights@7: 0 < 1"
    assert finished.states("say") == []
    assert finished.output("settle").startswith("FAILED exit-handler-1")
    assert finished.verdict["state"] == "FAILED"
    assert finished.verdict["error"] == "task fail failed: InputError: no rows in flights@7: 0 < 1"
    assert finished.exit_code == 0


def test_exit_handler_after_success(run: Run) -> None:
    @dsl.pipeline(name="guarded")
    def guarded() -> None:
        with dsl.ExitHandler(settle(), name="guard"):
            say(text="fine")

    finished = run(guarded)

    assert finished.output("settle").startswith("SUCCEEDED exit-handler-1")
    assert finished.verdict == {**finished.verdict, "state": "SUCCEEDED", "error": ""}


def test_job_name_and_variables_reach_every_step(run: Run) -> None:
    @dsl.pipeline(name="named")
    def named() -> None:
        job_name(name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER).set_env_variable("STEP", "one")

    finished = run(named, environment={"TEAM": "routes"})

    assert finished.output("job-name") == f"{finished.log_dir.parent.name} routes one"


def test_each_turn_of_a_loop_has_its_own_log(jobs: Any) -> None:
    @dsl.pipeline(name="loop")
    def loop() -> None:
        with dsl.ParallelFor(["a", "b", "c"]) as item:
            say(text=item)

    finished = jobs.run(loop)

    assert finished.states("say").count("SUCCEEDED") == 3
    assert {path.name for path in finished.log_dir.glob("say*")} == {"say.log", "say-2.log", "say-3.log"}
    assert finished.verdict["state"] == "SUCCEEDED"


def test_retries_are_one_task(run: Run) -> None:
    @dsl.pipeline(name="stubborn")
    def stubborn() -> None:
        fail(message="again").set_retry(num_retries=2, backoff_duration="0s")

    finished = run(stubborn)

    assert finished.states("fail") == ["RUNNING", "FAILED"]
    assert (finished.log_dir / "fail.log").read_text().count("InputError: again") == 3


def test_printing_does_not_reach_the_events_and_goes_to_the_log(run: Run) -> None:
    @ml
    def chatty() -> None:
        import subprocess
        import sys

        print("from print")
        print("from stderr", file=sys.stderr)
        subprocess.run(["sh", "-c", "echo from a child"], check=True)

    @dsl.pipeline(name="chat")
    def chat() -> None:
        chatty()

    finished = run(chat)

    log = (finished.log_dir / "chatty.log").read_text()
    assert all(f"from {source}" in log for source in ("print", "stderr", "a child"))
    assert finished.verdict["state"] == "SUCCEEDED"


def test_exit_codes_and_signals(run: Run) -> None:
    @ml
    def leave() -> None:
        import sys

        print("short of disk")
        sys.exit(3)

    @ml
    def shot() -> None:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)

    @dsl.pipeline(name="endings")
    def endings() -> None:
        with dsl.ExitHandler(settle(), name="guard"):
            leave()
            shot()

    finished = run(endings)

    assert finished.end_of("leave")["error"] == "exit code 3; last line: short of disk"
    assert "SIGKILL" in finished.end_of("shot")["error"] or "137" in finished.end_of("shot")["error"]


def test_nothing_starts_when_an_image_has_no_environment(jobs: Any) -> None:
    @dsl.component(base_image="tensorflow/serving:2", install_kfp_package=False)
    def foreign() -> str:
        return ""

    @dsl.component(base_image="team/interlock-nowhere:7", install_kfp_package=False)
    def nowhere() -> str:
        return ""

    @dsl.pipeline(name="mixed")
    def mixed() -> None:
        say(text="x")
        foreign()
        nowhere()

    finished = jobs.run(mixed)

    assert len(finished.events) == 1
    assert finished.verdict["state"] == "FAILED"
    assert "'tensorflow/serving:2'" in finished.verdict["error"]
    assert "'team/interlock-nowhere:7'" in finished.verdict["error"]
    assert finished.exit_code == 0


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({}, "parameter number is missing"),
        ({"number": 1.5}, "parameter number = 1.5 is not a NUMBER_INTEGER"),
        ({"number": 1, "colour": "red"}, "parameter colour is not one of the pipeline's; allowed: number"),
    ],
)
def test_wrong_parameters_fail_before_anything_starts(jobs: Any, parameters: dict[str, Any], problem: str) -> None:
    @dsl.pipeline(name="strict")
    def strict(number: int) -> None:
        kind_of(value=number)

    finished = jobs.run(strict, parameters)

    assert len(finished.events) == 1
    assert problem in finished.verdict["error"]


def test_a_job_file_that_is_no_job_is_refused(tmp_path: Any) -> None:
    import subprocess
    import sys

    (tmp_path / "job.json").write_text('{"job": 3}')
    done = subprocess.run(
        [sys.executable, "-m", "interlock.local.job", str(tmp_path / "job.json")],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"job file cannot be used" in done.stderr
