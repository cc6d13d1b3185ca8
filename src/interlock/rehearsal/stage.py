"""A stage for rehearsals: an emulator of its own on which versions are actors, ready in a second or two."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from interlock.config import Config, parse_config
from interlock.contracts import ModelVersion, Place
from interlock.errors import EnvironmentProblem
from interlock.registry.aliases import PRODUCTION, STAGING, quarantine_alias
from interlock.settings import child_environment
from interlock.vertex.container import upload_container
from interlock.vertex.endpoint import VertexEndpoint
from interlock.vertex.registry import VertexModelRegistry

PROJECT, LOCATION = "rehearsal", "us-central1"
NAME = "stage"
CONFIG = """
name: stage
source: {table: none, time: time, key: [row_key]}
label: {name: outcome, sql: "true"}
features: {numbers: [x]}
cost: {false_positive: 1, false_negative: 5}
gates:
  metrics: [{metric: auc, at_least: 0.5}]
  regression: [{metric: auc, within: 0.5}]
  latency_p99_ms: 1000
  size_megabytes: 100
metrics:
  - {name: cost, value: cost, role: business, cap: 5, weight: 4}
  - {name: errors, value: error, role: guardrail}
  - {name: slow, value: slow, role: guardrail, slow_ms: 200}
strategy:
  attribution_seconds: 0.3
  settling_seconds: 0.1
  check_seconds: 0.05
  steps:
    - {weight: 30, margin: 0.9, minimum_requests: 200, deadline_seconds: 10}
    - {weight: 50, margin: 0.9, minimum_requests: 200, deadline_seconds: 10}
post_deploy: {minimum_requests: 200, deadline_seconds: 1, margin: 0.9}
"""


class Stage:
    """The emulator that runs, and the versions on it. Version n plays the n-th part that was uploaded."""

    def __init__(self, place: Place, config: Config) -> None:
        self.place, self.config = place, config
        self.endpoint = VertexEndpoint(place, config.name)
        self.registry = VertexModelRegistry(place, config.name)

    def upload(self, part: str) -> ModelVersion:
        """A new version that plays ``part``."""
        return upload_container(self.place, self.config.name, "interlock-ml", {"ACTOR_PART": part})

    def ready(self, champion: ModelVersion, candidate: ModelVersion) -> tuple[str, str]:
        """``champion`` with all the traffic and ``candidate`` at 0 %; their deployed model ids."""
        self.endpoint.ensure()
        there = {version: id_ for id_, version in self.endpoint.read().versions.items()}
        ids = [
            there.get(version.version) or self.endpoint.deploy(version, self.config.serving)
            for version in (champion, candidate)
        ]
        found = self.endpoint.read()
        self.endpoint.set_traffic({ids[0]: 100}, found.etag)
        for version in (champion, candidate):
            self.registry.remove_alias(version.version, quarantine_alias(version.version))
        self.registry.set_alias(champion.version, PRODUCTION)
        self.registry.set_alias(candidate.version, STAGING)
        return ids[0], ids[1]


@contextlib.contextmanager
def stage(folder: Path, config: str = CONFIG) -> Iterator[Stage]:
    """An emulator with its state in ``folder``, ended with the block."""
    environments = folder / "environments"
    _actors(environments)
    state, log = folder / "state", folder / "emulator.log"
    command = [sys.executable, "-m", "interlock.emulator", "--state", str(state), "--project", PROJECT]
    environment = {**child_environment(), "INTERLOCK_ENVIRONMENTS": str(environments), "INTERLOCK_WARM": "0"}
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise EnvironmentProblem(f"the emulator does not start; end of its log: {log.read_text()[-500:]}")
        place = Place(
            project=PROJECT,
            location=LOCATION,
            bucket="none",
            warehouse=f"sqlite:///{state / 'warehouse.db'}",
            api_endpoint=msgspec.json.decode(line)["url"],
        )
        yield Stage(place, parse_config(config, "stage"))
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


def _actors(root: Path) -> None:
    """An environment ``ml`` whose model server is :mod:`interlock.rehearsal.actor`."""
    python = root / "ml" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(
        f'#!/bin/sh\ncase "$*" in\n*interlock.serving*) exec {sys.executable} -m interlock.rehearsal.actor;;\n'
        f'*) exec {sys.executable} "$@";;\nesac\n'
    )
    python.chmod(0o755)
