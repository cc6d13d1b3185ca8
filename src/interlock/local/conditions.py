"""The conditions of ``dsl.If``: read from the declared inputs of their task, never guessed from a name.

kfp.local 2.17.0 takes the name of an input apart to find its value. That works for ``task.output`` only: a condition
on ``task.outputs["strategy"]``, on the parameter of a task that also writes artifacts, or on text with a quote in
it is silently false, and the job succeeds without the branch. Here each condition is replaced by a key before kfp
sees it, and the key leads back to the text and the inputs::

    inputs.parameter_values['pipelinechannel--deploy-strategy'] == 'canary'
            └── task.inputs.parameters[…] = taskOutputParameter {producerTask: deploy, outputParameterKey: strategy}

A value whose producer was skipped makes the condition false, as Vertex AI Pipelines does not start such a task. A
condition that cannot be read is an :class:`InputError` before anything starts.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from interlock.errors import InputError

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |inputs\.parameter_values\['(?P<name>[^']+)'\]
    |(?P<text>'[^'\\]*'|"[^"\\]*")
    |(?P<operator>&&|\|\||==|!=|<=|>=|<|>|!|\(|\))
    |(?P<number>-?\d+(\.\d+)?([eE][-+]?\d+)?)
    |(?P<word>[A-Za-z_]+)""",
    re.VERBOSE,
)
_OPERATORS = {"&&": "and", "||": "or", "!": "not"}
_WORDS = {"true": "True", "false": "False", "null": "None"}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {"int": int, "double": float, "string": str, "bool": bool}


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """``expression`` is Python over ``values``, the referenced inputs; ``inputs`` are the task's as compiled."""

    task: str
    text: str
    expression: str
    inputs: dict[str, Any]

    def holds(self, values: Mapping[str, Any]) -> bool:
        """The verdict; :class:`InputError` names the values that cannot be compared."""
        try:
            # Only the tokens above can be in an expression, and nothing else can be reached from it.
            return bool(eval(self.expression, {"__builtins__": {}, "values": values, **_FUNCTIONS}))
        except (TypeError, ValueError, SyntaxError) as error:
            given = ", ".join(f"{name} = {value!r}" for name, value in values.items())
            raise InputError(
                f"condition of {self.task} cannot be evaluated: {self.text} with {given}: {error}"
            ) from error


def without_conditions(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Condition]]:
    """A copy of a compiled pipeline whose conditions are keys into the second value."""
    spec = copy.deepcopy(spec)
    conditions: dict[str, Condition] = {}
    for component, task, definition in _tasks(spec):
        policy = definition.get("triggerPolicy", {})
        if policy.get("condition", "").strip():
            key = f"{component}/{task}"
            conditions[key] = _condition(task, policy["condition"], definition)
            policy["condition"] = key
    return spec, conditions


def _tasks(spec: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    components = {"root": spec.get("root", {}), **spec.get("components", {})}
    for component, definition in components.items():
        for task, task_definition in definition.get("dag", {}).get("tasks", {}).items():
            yield component, task, task_definition


def _condition(task: str, text: str, definition: dict[str, Any]) -> Condition:
    declared = definition.get("inputs", {}).get("parameters", {})
    expression, names = _translate(task, text)
    if unknown := sorted(set(names) - set(declared)):
        raise InputError(f"condition of {task} reads {', '.join(unknown)}, not an input of it: {text}")
    try:
        compile(expression, task, "eval")
    except SyntaxError as error:
        raise InputError(f"condition of {task} cannot be read: {text}: {error.msg}") from error
    return Condition(task=task, text=text, expression=expression, inputs={name: declared[name] for name in names})


def _translate(task: str, text: str) -> tuple[str, list[str]]:
    """The subset of CEL that kfp's compiler writes, as Python; and the inputs it reads."""
    parts: list[str] = []
    names: list[str] = []
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        word = token["word"] if token else None
        if token is None or (word and word not in _WORDS and word not in _FUNCTIONS):
            where = text[position : position + 20]
            raise InputError(f"condition of {task} cannot be read at {where!r}: {text}")
        position = token.end()
        if token["name"]:
            names.append(token["name"])
            parts.append(f"values[{token['name']!r}]")
        elif token["text"]:
            parts.append(repr(token["text"][1:-1]))
        elif not token["space"]:
            parts.append(_OPERATORS.get(token[0], _WORDS.get(token[0], token[0])))
    return " ".join(parts), list(dict.fromkeys(names))
