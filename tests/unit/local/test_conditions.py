"""dsl.If and dsl.ParallelFor over what tasks put out, by real compiled pipelines; and the reader of conditions."""

from typing import Any, NamedTuple

import pytest
from kfp import dsl
from kfp.dsl import Artifact, Output

from interlock.errors import InputError
from interlock.local.conditions import without_conditions

ml = dsl.component(base_image="interlock-ml", install_kfp_package=False)


@ml
def decide(strategy: str, share: int) -> NamedTuple("Decision", strategy=str, share=int, go=bool):
    from collections import namedtuple

    return namedtuple("Decision", "strategy share go")(strategy, share, share > 5)


@ml
def measure(text: str, report: Output[Artifact]) -> str:
    from pathlib import Path

    Path(report.path).write_text(text)
    return text


@ml
def many() -> NamedTuple("Many", names=list, count=int):
    from collections import namedtuple

    return namedtuple("Many", "names count")(["it's", 'a "b"', "c\nd"], 3)


@ml
def say(text: str) -> str:
    return text


def said(finished: Any) -> list[str]:
    assert finished.verdict["state"] == "SUCCEEDED", finished.verdict
    return sorted(
        event["outputs"]["Output"]
        for event in finished.events
        if event.get("state") == "SUCCEEDED" and event.get("task", "").startswith("say")
    )


@pytest.mark.parametrize(("strategy", "share", "expected"), [("direct", 3, "direct"), ("canary", 9, "canary go")])
def test_named_outputs_decide(jobs: Any, strategy: str, share: int, expected: str) -> None:
    @dsl.pipeline(name="named")
    def named(strategy: str, share: int) -> None:
        decided = decide(strategy=strategy, share=share)
        with dsl.If(decided.outputs["strategy"] == "direct"):
            say(text="direct")
        with dsl.Elif(decided.outputs["share"] > 100):
            say(text="never")
        with dsl.Else(), dsl.If(decided.outputs["go"] == True):  # noqa: E712
            say(text="canary go")

    assert said(jobs.run(named, {"strategy": strategy, "share": share})) == [expected]


@pytest.mark.parametrize("text", ["plain", "it's", 'say "x"', "two\nlines", "back\\slash", "' == '' || 'a' == 'a"])
def test_the_output_of_a_task_with_artifacts_decides_whatever_its_text(jobs: Any, text: str) -> None:
    @dsl.pipeline(name="mixed")
    def mixed(text: str, same: str) -> None:
        measured = measure(text=text)
        with dsl.If(measured.outputs["Output"] == same):
            say(text="same")
        with dsl.Else():
            say(text="other")

    assert said(jobs.run(mixed, {"text": text, "same": text})) == ["same"]


def test_a_loop_over_a_named_output_with_a_branch(jobs: Any) -> None:
    @dsl.pipeline(name="loop")
    def loop() -> None:
        found = many()
        with dsl.ParallelFor(found.outputs["names"]) as name, dsl.If(name != "c\nd"):
            say(text=name)

    assert said(jobs.run(loop)) == ['a "b"', "it's"]


def test_a_branch_on_a_task_that_was_skipped_is_skipped(jobs: Any) -> None:
    @dsl.pipeline(name="skipped")
    def skipped(go: bool = False) -> None:
        with dsl.If(go == True):  # noqa: E712
            decided = decide(strategy="direct", share=1)
            with dsl.If(decided.outputs["strategy"] == "direct"):
                say(text="inner")
        say(text="outer")

    assert said(jobs.run(skipped)) == ["outer"]


def pipeline_with(condition: str) -> dict[str, Any]:
    task = {
        "inputs": {"parameters": {"a": {"componentInputParameter": "a"}, "b": {"componentInputParameter": "b"}}},
        "triggerPolicy": {"condition": condition},
    }
    return {"root": {"dag": {"tasks": {"condition-1": task}}}}


A, B = "inputs.parameter_values['a']", "inputs.parameter_values['b']"


@pytest.mark.parametrize(
    ("condition", "values", "expected"),
    [
        (f"{A} == {B}", {"a": "x", "b": "x"}, True),
        (f"!({A} == 'x') && int({B}) >= 3", {"a": "y", "b": 3}, True),
        (f"!({A} == 'x') && int({B}) >= 3", {"a": "y", "b": 2}, False),
        (f"{A} == true || {B} == 'no'", {"a": False, "b": "no"}, True),
        (f"{A} > -1.5e3", {"a": -3.0}, True),
        (f"double({A}) < {B}", {"a": 1, "b": 1.5}, True),
        (f"{A} == '&& || ! true'", {"a": "&& || ! true"}, True),
        (f'{A} == "it\'s"', {"a": "it's"}, True),
    ],
)
def test_conditions_as_the_compiler_writes_them(condition: str, values: dict[str, Any], expected: bool) -> None:
    spec, conditions = without_conditions(pipeline_with(condition))
    key = spec["root"]["dag"]["tasks"]["condition-1"]["triggerPolicy"]["condition"]
    assert conditions[key].holds(values) is expected


@pytest.mark.parametrize(
    "condition",
    [
        f"{A} == 'it's'",
        "__import__('os')",
        f"{A}.x == 1",
        f"{A} ==",
        "inputs.parameter_values['c'] == 1",
        f"{A} == 'a\\'b'",
        "1 + 1 == 2",
    ],
)
def test_a_condition_that_cannot_be_read_is_refused(condition: str) -> None:
    with pytest.raises(InputError, match="condition-1"):
        without_conditions(pipeline_with(condition))


def test_values_that_cannot_be_compared_fail_loudly() -> None:
    _, conditions = without_conditions(pipeline_with(f"int({A}) > 3"))
    with pytest.raises(InputError, match="a = 'many'"):
        conditions["root/condition-1"].holds({"a": "many"})
