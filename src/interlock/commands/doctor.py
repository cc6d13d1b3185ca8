"""``interlock doctor``: what is missing, and the command that mends it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

import interlock
from interlock.commands.place import read_place
from interlock.config import load_config
from interlock.doctor.finding import Finding, State, exit_status, missing
from interlock.doctor.kind import KindSetup, judge_kind
from interlock.doctor.local import judge_local
from interlock.local import stack
from interlock.settings import child_environment, local_settings

# What deploy/kind sets up; tests/unit/doctor/test_kind.py holds the two together.
CLUSTER, NAMESPACE, PIPELINES_VERSION = "interlock", "kubeflow", "2.17.2"
COLOURS = {State.OK: "green", State.WARNING: "yellow", State.MISSING: "red", State.UNKNOWN: "red"}


def run(
    *,
    local: bool,
    kind: bool,
    vertex: bool,
    state: Path,
    config: Path | None,
    place: Path | None,
    port: int,
    as_json: bool,
    console: Console,
) -> int:
    """Check what was asked for (the laptop if nothing was), print it, and return the exit status."""
    findings: dict[str, list[Finding]] = {}
    if local or not (kind or vertex):
        findings["local"] = check_local(state, port, child_environment())
    if kind:
        findings["kind"] = check_kind()
    if vertex:
        findings["vertex"] = check_vertex(state, config, place)
    if as_json:
        sys.stdout.write(msgspec.json.encode(findings).decode() + "\n")
    else:
        for place_name, found in findings.items():
            console.print(findings_table(place_name, found))
    return exit_status([one for found in findings.values() for one in found])


def check_local(state: Path, port: int, variables: Mapping[str, str]) -> list[Finding]:
    """This machine; no network."""
    from interlock.doctor.machine import local_facts

    root = Path(interlock.__file__).parents[2]
    facts = local_facts(
        state=state,
        environments=local_settings(variables).environments,
        requirements=root / "requirements",
        port=port,
        variables=variables,
    )
    return judge_local(facts)


def check_kind() -> list[Finding]:
    """Docker and the kind cluster."""
    from interlock.doctor.cluster import kind_facts

    images = _images()
    emulator = images[0].replace("-ml:", "-emulator:")
    setup = KindSetup(
        cluster=CLUSTER, namespace=NAMESPACE, pipelines_version=PIPELINES_VERSION, images=[*images, emulator]
    )
    return judge_kind(kind_facts(setup), setup)


def check_vertex(state: Path, config: Path | None, place: Path | None) -> list[Finding]:
    """The place in the file, or the running emulators."""
    from interlock.doctor.cloud import judge_cloud
    from interlock.vertex.inspection import cloud_facts

    if place is not None:
        where = read_place(place)
    else:
        running = stack.running_place(state)
        if running is None:
            found = f"no emulators run on {state}, and no --place names a project"
            return [missing("place", found, "interlock up, or --place place.json")]
        where = running
    names = [image.partition(":")[0] for image in _images()]
    return judge_cloud(cloud_facts(where, load_config(config) if config else None, names))


def _images() -> list[str]:
    """Of the steps and of the model server, the one that trains first."""
    images = importlib.import_module("interlock.components.images")
    return [images.ML, images.DATA, images.SERVE]


def findings_table(title: str, findings: list[Finding]) -> Table:
    """The findings for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (title, "", "found", "mend it with"):
        table.add_column(name, overflow="fold")
    for one in findings:
        colour = COLOURS[one.state]
        table.add_row(one.check, f"[{colour}]{one.state}[/]", one.found, one.mend)
    return table
