"""Failure policy and caching, as Vertex AI Pipelines has them."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Output, PipelineTaskFinalStatus

ml = dsl.component(base_image="interlock-ml", install_kfp_package=False)


@ml
def fail() -> str:
    raise ValueError("signal failure")


@ml
def say(text: str) -> str:
    return text


@ml
def make(rows: int, table: Output[Dataset]) -> int:
    from pathlib import Path

    Path(table.path).write_text("x" * rows)
    return rows


@ml
def count(table: Input[Dataset]) -> int:
    from pathlib import Path

    return len(Path(table.path).read_text())


@ml
def settle(status: PipelineTaskFinalStatus) -> str:
    return status.state


def test_slow_failure_lets_the_rest_go_on_and_fast_failure_does_not(jobs: Any) -> None:
    @dsl.pipeline(name="independent")
    def independent() -> None:
        broken = fail().set_caching_options(False)
        say(text=broken.output)
        for number in range(3):
            say(text=f"free {number}").after() if number else say(text="free 0")

    slow = jobs.run(independent)
    assert slow.verdict["state"] == "FAILED"
    assert sum(event["state"] in ("SUCCEEDED", "SKIPPED") for event in slow.events) == 3

    @dsl.pipeline(name="guarded")
    def guarded() -> None:
        with dsl.ExitHandler(settle(), name="guard"):
            first = fail()
            say(text="after").after(first).ignore_upstream_failure()

    fast = jobs.run(guarded, fail_fast=True)
    assert fast.verdict["error"] == "task fail failed: ValueError: signal failure"
    assert fast.states("say") == ["NOT_TRIGGERED"]
    assert fast.output("settle") == "FAILED"
    assert jobs.run(guarded).states("say")[-1] in ("SUCCEEDED", "SKIPPED")


def test_equal_tasks_come_from_the_cache_unless_they_say_no(jobs: Any) -> None:
    @dsl.pipeline(name="cached")
    def cached(rows: int) -> None:
        made = make(rows=rows)
        count(table=made.outputs["table"])
        say(text="fresh").set_caching_options(False)

    first, again, other = (jobs.run(cached, {"rows": rows}) for rows in (41, 41, 42))
    assert first.states("make") == ["RUNNING", "SUCCEEDED"]
    assert again.states("make") == ["RUNNING", "SKIPPED"]
    assert again.states("count") == ["RUNNING", "SKIPPED"]
    assert again.output("count") == 41
    assert again.end_of("make")["artifacts"] == first.end_of("make")["artifacts"]
    assert again.states("say") == ["RUNNING", "SUCCEEDED"]
    assert other.states("make") == ["RUNNING", "SUCCEEDED"]
    assert other.output("count") == 42
