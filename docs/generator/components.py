"""The components, as kfp compiled them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from typing import Any

import interlock.components

from generator.markdown import heading, prose, table


def page() -> str:
    """The page."""
    parts = [
        heading(
            "Components",
            "One file per stage under `components/`. Artifacts are passed by KFP; `config` is the text of the config "
            "file, `place` a [place/v1](contracts.md#place) as JSON, `rollout` the id of the rollout. Images are named "
            "in `components/images.py`.",
        )
    ]
    for stage in stages():
        parts.append(f"## {stage.__doc__.partition('.')[0].partition(': ')[2].capitalize()}\n")
        parts += [_component(component, stage.__name__) for component in components(stage)]
    return "\n".join(parts)


def stages() -> list[Any]:
    """Modules of ``interlock.components`` with components in them, in the order of the flow."""
    names = [info.name for info in pkgutil.iter_modules(interlock.components.__path__)]
    modules = [importlib.import_module(f"interlock.components.{name}") for name in names]
    found = [module for module in modules if components(module)]
    return sorted(found, key=lambda module: (_number(module), module.__name__))


def components(module: Any) -> list[Any]:
    """Its components, in the order of the file."""
    found = [value for value in vars(module).values() if hasattr(value, "component_spec")]
    return sorted(found, key=lambda one: inspect.getsourcelines(one.python_func)[1])


def _number(module: Any) -> int:
    """``Stage 4: training.`` -> 4; a file without a number comes last."""
    found = re.match(r"Stage (\d+)", module.__doc__ or "")
    return int(found[1]) if found else 99


def _component(component: Any, module: str) -> str:
    spec, function = component.component_spec, component.python_func
    rows = [
        (f"`{name}`", "in", _kind(one.type), "" if one.default is None else f"`{one.default!r}`")
        for name, one in (spec.inputs or {}).items()
    ]
    rows += [(f"`{name}`", "out", _kind(one.type), "") for name, one in (spec.outputs or {}).items()]
    return (
        f"### {function.__name__}\n\n{_told(function.__doc__)}\n\n"
        f"Image `{spec.implementation.container.image}`, in `{module.rpartition('.')[2]}.py`.\n\n"
        f"{table(('name', '', 'type', 'default'), rows)}"
    )


def _told(docstring: str) -> str:
    """Reads / Writes / Returns / Fails as a list."""
    text = prose(docstring)
    first, _, rest = text.partition("\n\n")
    rest = " ".join(rest.split())
    points = re.split(r"(?<=\.) (?=(?:Reads|Writes|Returns|Fails)\b)", rest)
    return "\n".join([first, "", *(f"- {point}" for point in points if point)])


def _kind(kind: str) -> str:
    return re.sub(r"^system\.|@.*$", "", kind).lower() if kind.startswith("system.") else kind.lower()
