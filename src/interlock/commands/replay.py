"""``interlock replay VERSION``: train a registered version again and say whether it is the same."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from interlock.errors import RegistryError
from interlock.settings import state_folder

if TYPE_CHECKING:
    from interlock.replay import Replay

SHOWN = 10


def replay(
    version: Annotated[str, typer.Argument(help="Number or alias of the version.")],
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The use case: names the model; tables are beside it.")
    ],
    state: Annotated[
        Path, typer.Option("--state", help="Folder of the emulators' state.", default_factory=state_folder)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Train a version again from its manifest; compare digest and metrics. Exit code 1 when they differ."""
    from interlock.local import stack
    from interlock.replay import replay_version
    from interlock.submission import git_revision, lock_sha256, read_use_case
    from interlock.vertex.registry import VertexModelRegistry

    case = read_use_case(config)
    registry = VertexModelRegistry(stack.require_place(state), case.name)
    found = registry.find(version)
    if found is None:
        raise RegistryError(f"{case.name} has no version {version}: `interlock status` lists them")
    with tempfile.TemporaryDirectory(prefix="interlock-version-") as name:
        folder = registry.fetch(found, Path(name))
        base = Path(case.base)
        again = replay_version(folder, base=base, git_revision=git_revision(base), lock_sha256=lock_sha256())
    if as_json:
        answer = {"version": found.version, "identical": again.identical, **msgspec.to_builtins(again)}
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    else:
        sys.stdout.write("\n".join(_lines(found.version, again)) + "\n")
    if not again.identical:
        raise typer.Exit(1)


def _lines(version: str, again: Replay) -> list[str]:
    lines = []
    if again.identical:
        lines.append(
            f"version {version} trained again: identical, model {again.model_sha256[:12]}, {again.metrics} metrics"
        )
    else:
        lines.append(f"version {version} trained again: {len(again.results)} results differ")
    for title, differences in (("", again.results), ("surroundings: ", again.surroundings)):
        lines += [f"  {title}{d.what}: {d.then or 'not recorded'} -> {d.now or 'none'}" for d in differences[:SHOWN]]
        if len(differences) > SHOWN:
            lines.append(f"  {title}and {len(differences) - SHOWN} more")
    return lines
