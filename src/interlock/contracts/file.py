"""Contracts as files: JSON, tagged with name and version, equal bytes for equal values."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from interlock.errors import ContractError


class Contract(msgspec.Struct, frozen=True, kw_only=True, tag_field="contract", forbid_unknown_fields=True):
    """Base of all contracts: frozen, keyword-only, tagged with name and version."""


C = TypeVar("C", bound=Contract)


def write_contract(value: Contract, path: Path) -> None:
    """Write ``value`` as indented JSON, with stable field order, so that equal values are equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def read_contract(path: Path, kind: type[C]) -> C:
    """Read a contract of ``kind`` from ``path``; :class:`ContractError` if it is missing or something else."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError as error:
        raise ContractError(f"{path.name} is missing in {path.parent}: re-run the stage that writes it") from error
    except msgspec.MsgspecError as error:
        expected = kind.__struct_config__.tag
        raise ContractError(f"{path} is not a {expected}: {error}; re-run the stage that writes it") from error
