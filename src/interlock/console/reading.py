"""What the pages show, read from registry, endpoints, journal, serving log and bucket.

What can never change (the files of a version, a config that a rollout ran with) is kept; all else is read again.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import sqlalchemy as sa

from interlock.config import Config, parse_config
from interlock.console.serving import requests_between
from interlock.contracts import DataVerdict, Evaluation, GateReport, Manifest, ModelVersion, Place
from interlock.contracts.file import C
from interlock.errors import ConfigError, ContractError, EnvironmentProblem, RegistryError
from interlock.report.from_journal import report_of
from interlock.report.run import RolloutReport, VersionReport
from interlock.rollout.history import rollouts
from interlock.rollout.journal import Entry, Started
from interlock.rollout.state import State, fold
from interlock.vertex import catalog
from interlock.vertex.endpoint import endpoint_names
from interlock.vertex.registry import VertexModelRegistry

PATIENCE_SECONDS = 5.0
NO_WAREHOUSE = (
    "Not known: journal and serving log are in the warehouse, and this console was not told where that is; "
    "start it with --warehouse."
)
_FILES = {
    "manifest.json": Manifest,
    "data_verdict.json": DataVerdict,
    "evaluation.json": Evaluation,
    "gate_report.json": GateReport,
}


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a console reads. ``place`` is asked anew for every page: a stack may be started again elsewhere.

    ``state``: folder of a local stack, None for Google Cloud. ``writable``: whether rollback is offered.
    ``token``: what a form must carry. ``every_seconds``: how often a page that is looked at is read again.
    """

    place: Callable[[], Place]
    token: str
    where: str
    state: Path | None = None
    writable: bool = True
    every_seconds: float = 1.0


def warehouse(place: Place) -> sa.Engine:
    """The place's warehouse, as it is: nothing is created in it. :class:`EnvironmentProblem` where there is none."""
    if not place.warehouse:
        raise EnvironmentProblem(NO_WAREHOUSE)
    return _engine(place.warehouse)


@functools.cache
def _engine(url: str) -> sa.Engine:
    return sa.create_engine(url, connect_args={"timeout": PATIENCE_SECONDS} if url.startswith("sqlite") else {})


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One rollout of ``endpoint`` as its journal tells it; ``newest`` of that endpoint."""

    id: str
    endpoint: str
    entries: list[Entry]
    state: State
    newest: bool

    @property
    def start(self) -> Started:
        """Its first event."""
        return self.state.start

    @property
    def began(self) -> float:
        """Seconds since 1970."""
        return self.entries[0].time

    @property
    def outcome(self) -> str:
        """``promoted``, ``rolled back``, ...; the phase while it is under way."""
        return self.state.settled.outcome if self.state.settled else str(self.state.phase)

    @property
    def is_over(self) -> bool:
        """Whether it is settled."""
        return self.state.settled is not None


def told_rollouts(place: Place, names: list[str] | None = None) -> list[Told]:
    """Rollouts of all endpoints (or ``names``), newest first; :class:`EnvironmentProblem` without a warehouse."""
    engine, found = warehouse(place), []
    for name in endpoint_names(place) if names is None else names:
        journals = rollouts(engine, name)
        for k, (id_, entries) in enumerate(journals):
            newest = k == len(journals) - 1
            found.append(Told(id=id_, endpoint=name, entries=entries, state=fold(entries), newest=newest))
    return sorted(found, key=lambda told: told.began, reverse=True)


def known_rollouts(place: Place, names: list[str] | None = None) -> list[Told] | None:
    """The same for pages that show other things too; None where this console knows no warehouse."""
    return told_rollouts(place, names) if place.warehouse else None


def find_rollout(place: Place, id_: str) -> Told | None:
    """The rollout ``id_``, None if no journal tells of it."""
    return next((told for told in told_rollouts(place) if told.id == id_), None)


def rollout_report(place: Place, told: Told, config: Config) -> RolloutReport:
    """The rollout as the report's pictures take it."""
    start, engine = told.start, warehouse(place)
    before = min((stretch.after for stretch in told.state.stretches), default=0)
    until = told.entries[-1].time if told.is_over else time.time()
    answered = requests_between(engine, told.endpoint, start.candidate_deployed, after=before, until=until)
    return report_of(told.id, told.entries, told.state, config, candidate_requests=answered)


def rollout_config(place: Place, told: Told, job: catalog.Job | None) -> Config | None:
    """The config a rollout runs with: of its pipeline ``job``, else of its candidate; None where neither is known."""
    text = _config_text(job) if job else ""
    text = text or _candidate_config(place, told.endpoint, told.start.candidate_version)
    return _parsed(text) if text else None


def deployment_job(jobs: list[catalog.Job], told: Told) -> catalog.Job | None:
    """The pipeline job of a rollout: of its model, and under way when the rollout began.

    A rollout's id is the job's number, which the service does not give to clients.
    """
    for job in jobs:
        config = _parsed(_config_text(job)) if _config_text(job) else None
        during = job.created <= told.began and (not job.ended or told.began <= job.ended)
        if during and config is not None and config.name == told.endpoint and _deploys(job):
            return job
    return None


def _deploys(job: catalog.Job) -> bool:
    return any(task.name.startswith("deploy-candidate") for task in job.tasks)


def _config_text(job: catalog.Job) -> str:
    return str(job.parameters.get("config", ""))


def endpoint_config(place: Place, name: str, version: str) -> Config | None:
    """The config that ``version`` was trained with; None where it is not known."""
    text = _candidate_config(place, name, version)
    return _parsed(text) if text else None


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> Config | None:
    try:
        return parse_config(text)
    except ConfigError:
        return None  # written by another version of the program


def _candidate_config(place: Place, name: str, version: str) -> str:
    found = VertexModelRegistry(place, name).find(version)
    if found is None:
        return ""
    try:
        return version_report(place, found).manifest.config
    except (RegistryError, ContractError):
        return ""


def version_report(place: Place, version: ModelVersion) -> VersionReport:
    """What the bucket holds about a version; :class:`RegistryError` or ``ContractError`` if it cannot be read."""
    files = _files(place, version.artifact_uri)
    manifest = _contract(files, version, Manifest)
    return VersionReport(
        version=version.version,
        title=version.description or manifest.name,
        window=manifest.window,
        aliases=[alias for alias in version.aliases if alias != "default"],
        manifest=manifest,
        verdict=_contract(files, version, DataVerdict),
        evaluation=_contract(files, version, Evaluation),
        gates=_contract(files, version, GateReport),
    )


@functools.lru_cache(maxsize=256)
def _files(place: Place, uri: str) -> dict[str, bytes]:
    return catalog.read_files(place, uri, list(_FILES))


def _contract(files: dict[str, bytes], version: ModelVersion, kind: type[C]) -> C:
    name = next(name for name, known in _FILES.items() if known is kind)
    try:
        return msgspec.json.decode(files[name], type=kind)
    except msgspec.MsgspecError as error:
        raise ContractError(f"{name} of version {version.version} cannot be read: {error}") from error


def training_job(jobs: list[catalog.Job], resource: str) -> catalog.Job | None:
    """The job that registered the version ``projects/…/models/…@version``."""
    for job in jobs:
        for task in job.tasks:
            if any(artifact.metadata.get("resourceName") == resource for artifact in task.artifacts):
                return job
    return None
