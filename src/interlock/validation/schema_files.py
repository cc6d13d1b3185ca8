"""Schema of a table, for the command line: run by the data environment's interpreter.

``python -m interlock.validation.schema_files infer TABLE`` prints a first schema; ``update TABLE SCHEMA`` prints the
schema widened so far that the table passes. An error is one line on stderr, with exit status 2.
"""

from __future__ import annotations

import sys
from pathlib import Path

from interlock.errors import ContractError, InterlockError
from interlock.validation.schema import infer_schema, parse_schema, schema_text, update_schema
from interlock.validation.schema_blocks import update_text
from interlock.validation.statistics import compute_statistics


def inferred(table: Path) -> str:
    """The text of a first schema."""
    return schema_text(infer_schema(compute_statistics(table)))


def updated(table: Path, schema: Path) -> str:
    """The schema's text, changed where ``table`` needs it and nowhere else."""
    text = schema.read_text(encoding="utf-8")
    new = update_text(text, update_schema(parse_schema(text), compute_statistics(table)))
    parse_schema(new)
    return new


def main(arguments: list[str]) -> int:
    try:
        match arguments:
            case ["infer", table]:
                sys.stdout.write(inferred(Path(table)))
            case ["update", table, schema]:
                sys.stdout.write(updated(Path(table), Path(schema)))
            case _:
                raise ContractError(
                    f"schema_files: {arguments} not understood: give infer TABLE or update TABLE SCHEMA"
                )
    except InterlockError as error:
        sys.stderr.write(f"interlock: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
