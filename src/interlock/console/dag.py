"""A compiled pipeline as a flat graph of the tasks that run a container. Pure.

Groups (conditions, exit handlers, loops) are folded away: what a group waits for, its first tasks wait for, and what
waits for a group waits for its last tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

Document = Mapping[str, Any]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A task; ``name`` is unique in the pipeline, ``title`` is for people. ``after``: the tasks it waits for."""

    name: str
    title: str
    after: tuple[str, ...] = ()


def graph(spec: Document) -> list[Node]:
    """The tasks of a compiled pipeline in an order in which each comes after what it waits for."""
    root = spec.get("root", {}).get("dag", {})
    nodes = _flatten(root, spec.get("components", {}), ())
    return _reduced(_sorted(nodes))


def artifact_kinds(spec: Document) -> dict[tuple[str, str], str]:
    """``(task, output) -> schema``, for instance ``system.HTML``, of every artifact a task writes."""
    found = {}
    for _, name, component in _leaves(spec.get("root", {}).get("dag", {}), spec.get("components", {})):
        outputs = component.get("outputDefinitions", {}).get("artifacts", {})
        for output, about in outputs.items():
            found[name, output] = str(about.get("artifactType", {}).get("schemaTitle", ""))
    return found


def ranks(nodes: list[Node]) -> dict[str, int]:
    """Name -> row: one below the lowest task it waits for."""
    found: dict[str, int] = {}
    for node in nodes:
        found[node.name] = 1 + max((found[name] for name in node.after if name in found), default=-1)
    return found


def _leaves(dag: Document, components: Document) -> Iterator[tuple[Document, str, Document]]:
    for name, task in dag.get("tasks", {}).items():
        component = components.get(task.get("componentRef", {}).get("name", ""), {})
        if "dag" in component:
            yield from _leaves(component["dag"], components)
        else:
            yield task, name, component


def _flatten(dag: Document, components: Document, outside: tuple[str, ...]) -> list[Node]:
    """Tasks of ``dag``; those that wait for nothing in it wait for ``outside``."""
    tasks = dag.get("tasks", {})
    inner: dict[str, list[Node]] = {}
    waits = {name: [p for p in _producers(task) if p in tasks] for name, task in tasks.items()}
    for name in _in_order(waits):
        task = tasks[name]
        after = tuple(last for producer in waits[name] for last in _last(inner[producer])) or outside
        component = components.get(task.get("componentRef", {}).get("name", ""), {})
        if "dag" in component:
            inner[name] = _flatten(component["dag"], components, after)
        else:
            title = str(task.get("taskInfo", {}).get("name") or name)
            inner[name] = [Node(name=name, title=title, after=after)]
    return [node for nodes in inner.values() for node in nodes]


def _producers(task: Document) -> list[str]:
    found = list(task.get("dependentTasks", []))
    inputs = task.get("inputs", {})
    for given in (*inputs.get("parameters", {}).values(), *inputs.get("artifacts", {}).values()):
        for key in ("taskOutputParameter", "taskOutputArtifact", "taskFinalStatus"):
            if key in given:
                found.append(given[key].get("producerTask", ""))
    return list(dict.fromkeys(found))


def _in_order(waits: Mapping[str, list[str]]) -> list[str]:
    """Names so that each comes after what it waits for; a circle, which no compiler writes, is cut."""
    done: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in done or name in path:
            return
        for producer in waits[name]:
            visit(producer, (*path, name))
        done.append(name)

    for name in waits:
        visit(name, ())
    return done


def _last(nodes: list[Node]) -> list[str]:
    """The tasks of a group for which no other task of it waits."""
    waited_for = {name for node in nodes for name in node.after}
    return [node.name for node in nodes if node.name not in waited_for]


def _sorted(nodes: list[Node]) -> list[Node]:
    by_name = {node.name: node for node in nodes}
    return [by_name[name] for name in _in_order({n.name: [a for a in n.after if a in by_name] for n in nodes})]


def _reduced(nodes: list[Node]) -> list[Node]:
    """Without the edges that a longer way already says."""
    above: dict[str, set[str]] = {}
    found = []
    for node in nodes:
        indirect = {far for name in node.after for far in above.get(name, set())}
        kept = tuple(name for name in dict.fromkeys(node.after) if name not in indirect)
        above[node.name] = {*kept, *indirect}
        found.append(msgspec.structs.replace(node, after=kept))
    return found
