"""Monitoring of the version in production: registry, endpoint, warehouse, clock and hands put together."""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from interlock.config import Config
from interlock.contracts import Evaluation, ModelVersion, MonitoringReference, MonitoringReport, Place, read_contract
from interlock.errors import ContractError, EndpointError, EnvironmentProblem, EvidenceError, RegistryError
from interlock.monitoring.act import act
from interlock.monitoring.judge import Surroundings, judge_window
from interlock.monitoring.record import earlier_windows, last_training, write_record
from interlock.monitoring.webhook import post
from interlock.monitoring.window import count_window
from interlock.registry.aliases import PRODUCTION
from interlock.rollout.history import open_rollouts, rollouts
from interlock.rollout.journal import Ordered, TrafficSet
from interlock.vertex import jobs, metrics, model_monitor
from interlock.vertex.client import bucket
from interlock.vertex.endpoint import VertexEndpoint
from interlock.vertex.keys import read_signing_key
from interlock.vertex.registry import VertexModelRegistry
from interlock.vertex.rollback import roll_back
from interlock.vertex.rollout import watch_holdback
from interlock.warehouse import open_warehouse

REFERENCE_FILE = "monitoring_reference.json"


class Retrain(msgspec.Struct, frozen=True, kw_only=True):
    """What a training is submitted with: templates (``gs://`` or an address) and the parameters beside the window."""

    training: str
    deployment: str
    parameters: dict[str, Any]


def parse_retrain(text: str) -> Retrain | None:
    """The ``retrain`` parameter of the pipeline; '' is none."""
    try:
        return msgspec.json.decode(text, type=Retrain) if text else None
    except msgspec.MsgspecError as error:
        raise ContractError(f"parameter retrain: {error}; pass what `interlock schedule` writes") from error


def monitor(place: Place, config: Config, *, hours: float, folder: Path, retrain: Retrain | None) -> MonitoringReport:
    """Judge the last ``hours``, act by the policy, and write the verdict to the warehouse.

    :class:`RegistryError` when nothing is in production, :class:`EvidenceError` when the warehouse cannot answer.
    """
    registry, endpoint = VertexModelRegistry(place, config.name), VertexEndpoint(place, config.name)
    version = registry.find(PRODUCTION)
    if version is None:
        raise RegistryError(f"{config.name}: no version has alias {PRODUCTION}; deploy one first")
    registry.fetch(version, folder)
    engine, until = open_warehouse(place.warehouse), time.time()
    found = endpoint.read()
    split = {found.versions[id_]: share for id_, share in found.traffic.items() if share}
    since = until - hours * 3600
    file = folder / REFERENCE_FILE
    reference = read_contract(file, MonitoringReference) if file.exists() else None
    window = count_window(
        engine,
        config,
        reference or MonitoringReference(rows=0, piece_hours=0, features=[]),
        version=version.version,
        since=since,
        until=until,
        split_since=_split_since(engine, config),
    )
    count = config.monitoring.baseline_windows
    surroundings = Surroundings(
        split=split,
        created=_created(version),
        before=earlier_windows(engine, config.name, version.version, until=since, count=count) if count else (),
        holdback=_holdback(place, config, split),
    )
    evaluation = read_contract(folder / "evaluation.json", Evaluation)
    report = judge_window(config, evaluation=evaluation, reference=reference, window=window, surroundings=surroundings)
    report = act(
        config,
        report,
        VertexHands(place, config, retrain),
        now=time.time(),
        open_rollouts=open_rollouts(engine, config.name),
        last_training=last_training(engine, config.name),
    )
    if config.monitoring.cloud_metric:
        done = metrics.written(place, report)
        report = msgspec.structs.replace(report, actions=[*report.actions, done])
    if config.monitoring.vertex_monitor:
        done = model_monitor.created(place, config, version, hours=hours)
        report = msgspec.structs.replace(report, actions=[*report.actions, done])
    write_record(engine, report, window, time.time())
    return report


class VertexHands:
    """What monitoring can do, done on Vertex AI; implements :class:`interlock.monitoring.act.Hands`."""

    def __init__(self, place: Place, config: Config, retrain: Retrain | None) -> None:
        self._place, self._config, self._retrain = place, config, retrain

    def roll_back(self, reason: str) -> str:
        end = roll_back(self._place, self._config, reason)
        said = f"version {end.production or 'none'} is in production"
        return f"{said}; the journal does not know it: {end.journal_problem}" if end.journal_problem else said

    def train(self) -> str:
        if self._retrain is None:
            raise EnvironmentProblem("no template to submit: create the schedule with `interlock schedule`")
        start, end = training_window(self._config, time.time())
        parameters = self._retrain.parameters | {"start": start, "end": end}
        return submit_template(self._place, self._retrain.training, self._config.name, "training", parameters)

    def alert(self, report: MonitoringReport) -> str:
        hook = self._config.monitoring.webhook
        if hook is None:
            return "no webhook is configured: the report and the monitoring log say it"
        return post(
            hook.url,
            msgspec.json.encode(report),
            read_signing_key(self._place, hook.secret),
            attempts=hook.attempts,
            timeout_seconds=hook.timeout_seconds,
            now=time.time,
            sleep=time.sleep,
        )


def training_window(config: Config, now: float) -> tuple[str, str]:
    """First moment of the rows to train on, and the first after them; '' is open."""
    asked = config.monitoring.retraining
    if asked.days is None:
        return asked.start, asked.end
    today = dt.datetime.fromtimestamp(now, dt.UTC).date()
    return (today - dt.timedelta(days=asked.days)).isoformat(), asked.end


def submit_template(place: Place, template: str, name: str, pipeline: str, parameters: dict[str, Any]) -> str:
    """Submit a compiled pipeline that lies in the place's bucket, or at an address; the job's resource name."""
    id_ = f"{name}-{pipeline}-monitoring-{time.time_ns() // 1_000_000}"
    root = f"gs://{place.bucket}/"
    if not template.startswith(root):
        return jobs.submit(place, template, parameters=parameters, job_id=id_)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "template.yaml"
        file.write_bytes(bucket(place).blob(template.removeprefix(root)).download_as_bytes(timeout=60))
        return jobs.submit(place, file, parameters=parameters, job_id=id_)


def deploy_retrained(place: Place, config: Config, retrain: Retrain, training: str, every: float = 10.0) -> str:
    """Wait for the training job and deploy what it registered; the deployment job's name, '' if the config says no.

    :class:`EnvironmentProblem` when the training did not succeed: a closed gate deploys nothing.
    """
    *_, last = jobs.watch(place, training, every=0.5 if place.api_endpoint else every)
    if last.state != "succeeded":
        failed = next((task for task in last.tasks if task.state == "failed" and task.error), None)
        why = f"{failed.name}: {failed.error}" if failed else last.error
        raise EnvironmentProblem(f"training {last.name} {last.state}: {why}; nothing is deployed")
    if not config.monitoring.retraining.deploy:
        return ""
    wanted = ("config", "place")
    parameters = {name: retrain.parameters[name] for name in wanted}
    return submit_template(place, retrain.deployment, config.name, "deployment", parameters)


def _created(version: ModelVersion) -> float | None:
    return dt.datetime.fromisoformat(version.create_time).timestamp() if version.create_time else None


def _split_since(engine: sa.Engine, config: Config) -> float:
    """When the split was last set, and has had time to act."""
    times = [
        entry.time
        for _, entries in rollouts(engine, config.name)
        for entry in entries
        if isinstance(entry.event, TrafficSet | Ordered)
    ]
    return max(times, default=0.0) + config.strategy.settling_seconds + 1.0


def _holdback(place: Place, config: Config, split: dict[str, int]) -> str:
    """What the holdback says, '' where none remains."""
    if not config.strategy.holdback or len(split) < 2:
        return ""
    try:
        return watch_holdback(place, config)
    except (EndpointError, EvidenceError):
        return "inconclusive"
