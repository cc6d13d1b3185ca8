"""``interlock console``: the web page in the foreground, of a local stack or of a project on Google Cloud."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from interlock.contracts import Place
from interlock.errors import ConfigError
from interlock.local import stack


def run(state: Path, *, port: int, console: Console) -> None:
    """Serve the console of the stack in ``state`` until Ctrl-C."""
    from interlock.console.server import local_source, serve

    stack.require_place(state)
    serve(local_source(state), port, lambda url: console.print(f"console {url}, Ctrl-C ends it"))


def run_project(
    project: str, *, location: str, bucket: str, warehouse: str, writable: bool, port: int, console: Console
) -> None:
    """Serve the console of a project; it offers no rollback unless ``writable``."""
    from interlock.console.server import cloud_source, serve

    missing = [name for name, value in (("--bucket", bucket), ("--warehouse", warehouse)) if not value]
    if missing:
        raise ConfigError(f"--project {project} needs {' and '.join(missing)}: where models and journal of it are")
    place = Place(project=project, location=location, bucket=bucket, warehouse=warehouse)
    source = cloud_source(place, writable=writable)
    serve(source, port, lambda url: console.print(f"console {url}, {'' if writable else 'read-only, '}Ctrl-C ends it"))
