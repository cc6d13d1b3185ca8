"""Parameter values as the Vertex AI REST API carries them, made what the pipeline declares.

JSON has one number type, and the API keeps parameters as ``google.protobuf.Value``: ``3`` becomes ``3.0``.
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.pipelineJobs#RuntimeConfig
"""

from __future__ import annotations

from typing import Any

from interlock.errors import InputError

KINDS: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


def convert_parameters(spec: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """``values`` in the types that ``spec`` declares. A null counts as left out.

    :class:`InputError` names a parameter that is unknown, missing or of another type.
    """
    declared = spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    given = {name: value for name, value in values.items() if value is not None}
    if unknown := sorted(set(given) - set(declared)):
        allowed = ", ".join(declared) or "none"
        raise InputError(f"parameter {', '.join(unknown)} is not one of the pipeline's; allowed: {allowed}")
    for name, definition in declared.items():
        optional = "defaultValue" in definition or definition.get("isOptional", False)
        if name not in given and not optional:
            raise InputError(f"parameter {name} is missing and has no default: give a value")
    return {name: _convert(name, value, declared[name].get("parameterType", "")) for name, value in given.items()}


def _convert(name: str, value: Any, kind: str) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "NUMBER_INTEGER" and number and float(value).is_integer():
        return int(value)
    if kind == "NUMBER_DOUBLE" and number:
        return float(value)
    if isinstance(value, KINDS.get(kind, ())):
        return value
    raise InputError(f"parameter {name} = {value!r} is not a {kind}: give a value of that type")
