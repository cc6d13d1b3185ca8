"""``interlock console``: the web page in the foreground, of a local stack or of a project on Google Cloud."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from interlock.contracts import Place, read_contract
from interlock.errors import ConfigError
from interlock.local import stack


def run(state: Path, *, port: int, console: Console) -> None:
    """Serve the console of the stack in ``state`` until Ctrl-C."""
    from interlock.console.server import local_source, serve

    stack.require_place(state)
    serve(local_source(state), port, lambda url: console.print(f"console {url}, Ctrl-C ends it"))


def run_place(place: Path, *, writable: bool, port: int, console: Console) -> None:
    """Serve the console of the place in file ``place``."""
    _serve(read_contract(place, Place), writable=writable, port=port, console=console)


def run_project(
    project: str, *, location: str, bucket: str, warehouse: str, writable: bool, port: int, console: Console
) -> None:
    """Serve the console of a project. Without ``bucket`` or ``warehouse`` pages say what they cannot know."""
    if writable and not warehouse:
        raise ConfigError(f"--project {project} --writable needs --warehouse: a rollback is written into the journal")
    place = Place(project=project, location=location, bucket=bucket, warehouse=warehouse)
    _serve(place, writable=writable, port=port, console=console)


def _serve(place: Place, *, writable: bool, port: int, console: Console) -> None:
    from interlock.console.server import cloud_source, serve

    source = cloud_source(place, writable=writable)
    serve(source, port, lambda url: console.print(f"console {url}, {'' if writable else 'read-only, '}Ctrl-C ends it"))
