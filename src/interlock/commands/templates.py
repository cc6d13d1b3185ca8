"""``interlock compile`` and ``interlock publish``: pipelines as files, for engines other than the emulator's.

::

    OUTPUT/vertex/NAME.yaml        one document, for Vertex AI and the emulator
    OUTPUT/kubernetes/NAME.yaml    the same with resources and kfp-kubernetes settings, for Kubeflow Pipelines
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from interlock.config import Machine, load_config
from interlock.errors import ConfigError
from interlock.local.images import read_references, resolve, unresolved
from interlock.local.kubernetes import add_settings, read_settings
from interlock.submission import PIPELINES, compile_pipeline

SHOWN_LINES = 60
TRAINING_STEP = "exec-train-model"


def compile_all(
    output: Path, *, images: Path | None, kubernetes: Path | None, machine: Machine | None = None
) -> list[Path]:
    """Write every template; with ``images``, a file of references, no image name is left in them.

    ``machine`` is what the training step asks for.
    """
    references = read_references(images) if images else None
    settings = read_settings(kubernetes) if kubernetes else None
    written = []
    for name in PIPELINES:
        path = compile_pipeline(name, output / "vertex", machine)
        text = path.read_text(encoding="utf-8")
        if references is not None:
            text = resolve(text, references)
            path.write_text(text, encoding="utf-8")
        written.append(path)
        if settings is not None:
            path = output / "kubernetes" / f"{name}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            spot = [TRAINING_STEP] if machine and machine.spot else []
            path.write_text(add_settings(text, settings, spot=spot), encoding="utf-8")
            written.append(path)
    return written


def differences(written: Path, accepted: Path) -> Iterator[tuple[Path, list[str]]]:
    """Templates that differ between two folders, with the lines of a unified diff. A file in one only differs too."""
    names = {path.relative_to(folder) for folder in (written, accepted) for path in folder.glob("*/*.yaml")}
    for name in sorted(names):
        old, new = (_lines(folder / name) for folder in (accepted, written))
        diff = list(difflib.unified_diff(old, new, f"accepted/{name}", f"compiled/{name}", lineterm=""))
        if diff:
            yield name, diff


def compile_templates(
    output: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("build/templates"),
    images: Annotated[
        Path | None, typer.Option(help="References by digest, as `make push-images` writes them.")
    ] = None,
    kubernetes: Annotated[
        Path | None, typer.Option(help="Settings of the steps on Kubernetes; without it, no Kubernetes templates.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A use case: its training.machine is in the templates.")
    ] = None,
    check: Annotated[
        Path | None, typer.Option(help="Accepted templates; fails with a diff when the source says another thing.")
    ] = None,
) -> None:
    """Compile the pipelines for Vertex AI and for Kubeflow Pipelines."""
    machine = load_config(config).training.machine if config else None
    compile_all(output, images=images, kubernetes=kubernetes, machine=machine)
    if check is None:
        return
    changed = list(differences(output, check))
    for name, diff in changed:
        typer.echo("\n".join(diff[:SHOWN_LINES]))
        if len(diff) > SHOWN_LINES:
            typer.echo(f"… {len(diff) - SHOWN_LINES} more lines: diff {check / name} {output / name}")
    if changed:
        typer.echo(
            f"{len(changed)} compiled templates differ from {check}: read the diff, then accept it with `make golden`",
            err=True,
        )
        raise typer.Exit(1)


def publish(
    folder: Annotated[Path, typer.Argument(help="Compiled templates, for instance build/published/vertex.")],
    registry: Annotated[str, typer.Option(help="https://REGION-kfp.pkg.dev/PROJECT/REPOSITORY")],
    tag: Annotated[list[str], typer.Option(help="Tag of the templates, may be repeated.")],
) -> None:
    """Upload compiled pipelines to a KFP repository of Artifact Registry."""
    from interlock.local.template_registry import upload

    templates = sorted(folder.glob("*.yaml"))
    if not templates:
        raise ConfigError(f"{folder} has no templates; `interlock compile --images` writes them")
    for path in templates:
        if names := unresolved(path.read_text(encoding="utf-8")):
            raise ConfigError(f"{path}: image {names[0]} is not by digest; compile with --images, then publish")
    for path in templates:
        package, version = upload(path, registry, tag)
        typer.echo(f"{registry}/{package}/{tag[0]}  {version}")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
