"""Models, their versions, and one version with its evaluation, gates and lineage."""

from __future__ import annotations

import functools
from datetime import datetime

import msgspec

from interlock.console.page import Page, Part, heading, link, nothing
from interlock.console.reading import NO_WAREHOUSE, Source, Told, known_rollouts, training_job, version_report
from interlock.console.words import chips, moment, state_mark
from interlock.contracts import ModelVersion, Place
from interlock.errors import ContractError, InputError, RegistryError
from interlock.report import wording
from interlock.report.evaluation_section import metric_title, overall, primary
from interlock.report.gates_section import passed_of
from interlock.report.markup import Content, Html, code, element, facts, join, table
from interlock.report.page import render_version
from interlock.report.run import VersionReport
from interlock.report.version_section import version_section
from interlock.vertex import catalog
from interlock.vertex.catalog import ModelEntry
from interlock.vertex.endpoint import VertexEndpoint
from interlock.vertex.registry import VertexModelRegistry


def models_page(source: Source) -> Page:
    """All models with their versions."""
    place = source.place()
    models = catalog.models(place)
    body = join(_model(place, model) for model in models) if models else nothing("No model is registered yet.")
    return Page(title="Models", parts=[Part("title", heading("Models")), Part("models", body)])


def _model(place: Place, model: ModelEntry) -> Html:
    title = element("h2", link(f"/models/{model.id}", model.id), " ", _known_as(model))
    return join([title, versions_table(place, model.id)])


def _known_as(model: ModelEntry) -> Content:
    """What people call it, where that is not its id."""
    return element("span", model.title, class_="quiet known-as") if model.title not in {"", model.id} else ""


def model_page(source: Source, name: str) -> Page:
    """One model."""
    place = source.place()
    model = next((model for model in catalog.models(place) if model.id == name), None)
    if model is None:
        raise InputError(f"there is no model {name}: the list of models has those there are")
    title = heading(name, beside=_known_as(model))
    parts = [Part("title", title), Part("versions", versions_table(place, name))]
    return Page(title=name, parts=parts, trail=[("/models", "Models")])


def versions_table(place: Place, name: str) -> Html:
    """One row per version, newest first."""
    state = VertexEndpoint(place, name).find()
    traffic = {state.versions[id_]: percent for id_, percent in state.traffic.items()} if state else {}
    versions = list(reversed(VertexModelRegistry(place, name).versions()))
    reports = [_report_or_none(place, version) for version in versions]
    rows = [_row(name, version, report, traffic) for version, report in zip(versions, reports, strict=True)]
    metrics = {first.metric for report in reports if report and (first := primary(report.evaluation))}
    quality = metric_title(metrics.pop()) if len(metrics) == 1 else "Quality"
    head = ("Version", "Aliases", "Traffic", f"{quality} (95 %)", "Cost", "Gates", "p99", "Registered (UTC)")
    return table(f"Versions of {name}, newest first", head, rows, numbers=(2, 3, 4, 6))


def _row(
    name: str, version: ModelVersion, report: VersionReport | None, traffic: dict[str, int]
) -> tuple[Content, ...]:
    address = link(f"/models/{name}/{version.version}", f"version {version.version}")
    about = element("span", version.description, class_="quiet sub")
    share = f"{traffic[version.version]} %" if version.version in traffic else "not deployed"
    aliases = chips([alias for alias in version.aliases if alias != "default"])
    return (element("span", address, about), aliases, share, *_measured(report), moment(_seconds(version.create_time)))


def _measured(report: VersionReport | None) -> tuple[Content, Content, Content, Content]:
    if report is None:
        return (wording.NONE,) * 4
    evaluation = report.evaluation
    first, cost = primary(evaluation), overall(evaluation, "cost")
    interval = element("span", wording.interval(first.low, first.high), class_="quiet sub") if first else ""
    return (
        element("span", wording.number(first.value), interval) if first else wording.NONE,
        wording.number(cost.value) if cost else wording.NONE,
        passed_of(report.gates.rules, report.gates.passed),
        f"{evaluation.latency_p99_ms:.2f} ms",
    )


def _report_or_none(place: Place, version: ModelVersion) -> VersionReport | None:
    try:
        return version_report(place, version)
    except (RegistryError, ContractError):
        return None


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def version_page(source: Source, name: str, number: str) -> Page:
    """One version: lineage first, then what the report says about it."""
    place = source.place()
    version = require_version(place, name, number)
    known = known_rollouts(place, [name])
    told = None if known is None else [one for one in known if one.start.candidate_version == number]
    job = training_job(catalog.jobs(place), version.resource)
    try:
        report = version_report(place, version)
        file = element("p", link(f"/models/{name}/{number}/report", "This report as one file"), class_="links")
        body = join([file, _section(place, msgspec.json.encode(version))])
    except (RegistryError, ContractError) as error:
        report, body = None, element("p", str(error), class_="problem")
    title = heading(f"{name}, version {number}", beside=_aliases(version))
    parts = [
        Part("title", title),
        Part("lineage", _lineage(report, version, job, told)),
        Part("version", body),
    ]
    trail = [("/models", "Models"), (f"/models/{name}", name)]
    return Page(title=f"{name} {number}", parts=parts, trail=trail)


def require_version(place: Place, name: str, number: str) -> ModelVersion:
    """Version ``number``; :class:`InputError` if there is none."""
    version = VertexModelRegistry(place, name).find(number) if number.isdigit() else None
    if version is None:
        raise InputError(f"there is no version {number} of model {name}: the model's page lists those there are")
    return version


def report_file(source: Source, name: str, number: str) -> str:
    """The report of one version's training, as a document of its own."""
    place = source.place()
    return render_version(version_report(place, require_version(place, name, number)))


@functools.lru_cache(maxsize=32)
def _section(place: Place, version: bytes) -> Html:
    """What the report says about a ``ModelVersion`` (as JSON, which can be a key): drawn once."""
    return version_section(version_report(place, msgspec.json.decode(version, type=ModelVersion)), "version", level=2)


def _aliases(version: ModelVersion) -> Content:
    found = [alias for alias in version.aliases if alias != "default"]
    return chips(found) if found else ""


def _lineage(
    report: VersionReport | None, version: ModelVersion, job: catalog.Job | None, told: list[Told] | None
) -> Html:
    """Where it comes from and where it went, as a chain."""
    chain: list[tuple[str, Content]] = []
    if report is not None:
        manifest = report.manifest
        rows = wording.count(sum(manifest.rows.values()))
        window = wording.window(report.window)
        chain.append(("Table", join([f"{window}, {rows} rows", _digest(manifest.table_sha256)], " ")))
        chain.append(("Config and code", join([_digest(manifest.config_sha256), _digest(manifest.git_revision)], " ")))
    if job is not None:
        chain.append(("Training run", join([link(f"/runs/{job.id}", job.id), state_mark(job.state)], " ")))
    chain.append(("Model", join([_digest(version.model_sha256), code(version.artifact_uri)], " ")))
    if told is None:
        chain.append(("Rollouts", NO_WAREHOUSE))
    for one in told or []:
        chain.append(("Rollout", join([link(f"/rollouts/{one.id}", one.id), state_mark(one.outcome)], " ")))
    return element("section", element("h2", "Lineage"), element("div", facts(chain), class_="chain"), class_="first")


def _digest(text: str) -> Content:
    return element("code", text[:12], title=text) if text else ""
