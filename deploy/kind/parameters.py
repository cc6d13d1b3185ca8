"""Parameters of a pipeline as arguments of ``kfp run create``: ``parameters.py PIPELINE CONFIG START END``.

NUL-separated ``name=value``. The client reads a value as JSON where it can, which would make the text of a place a
mapping and a window's end a number: so each value is a JSON string.
"""

import json
import sys
from pathlib import Path

from interlock.config import parse_config
from interlock.contracts import Place, read_contract
from interlock.errors import ConfigError, InterlockError
from interlock.submission import deployment_parameters, read_use_case, training_parameters

PLACE = Path(__file__).with_name("place.json")
REACHED = ("package:", "gs://", "bq://")


def arguments(pipeline: str, config: Path, *, start: str, end: str) -> list[str]:
    """``name=value`` for every parameter. A table that no pod can see is a :class:`ConfigError`."""
    place, case = read_contract(PLACE, Place), read_use_case(config)
    if pipeline != "training":
        parameters = deployment_parameters(place, case)  # monitoring takes the same
    else:
        source = parse_config(case.config, str(config)).source
        for table in [source.table, *(join.table for join in source.join)]:
            if not table.startswith(REACHED):
                raise ConfigError(f"{config}: table {table} is on this machine; a pod sees {', '.join(REACHED)} only")
        parameters = training_parameters(place, case, start=start, end=end) | {"base": "."}
    return [f"{name}={json.dumps(value)}" for name, value in parameters.items()]


if __name__ == "__main__":
    try:
        found = arguments(sys.argv[1], Path(sys.argv[2]), start=sys.argv[3], end=sys.argv[4])
    except InterlockError as error:
        sys.exit(f"kind: {error}")
    sys.stdout.write("".join(f"{argument}\0" for argument in found))
