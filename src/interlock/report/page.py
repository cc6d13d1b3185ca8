"""Whole documents: of a run, a rollout, a version. Each is a file of its own, and a KFP HTML artifact."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from interlock.errors import EnvironmentProblem
from interlock.report import wording
from interlock.report.headline import Headline, headlines
from interlock.report.markup import Html, element, join, mark
from interlock.report.rollout_section import inequality, rollout_section, rollouts_section
from interlock.report.run import RolloutReport, RunReport, VersionReport
from interlock.report.version_section import version_section, versions_section, versions_table

# The browser itself refuses whatever would leave the file.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def render_report(run: RunReport) -> str:
    """The story of a run, most important first. Equal runs give equal text."""
    told = [
        element(
            "header",
            _kicker("Interlock run report"),
            element("h1", run.title),
            element("p", f"{wording.moment(run.started)}, took {wording.seconds(run.seconds)}", class_="quiet"),
        ),
        _verdicts(headlines(run)),
        _contents(run),
        element("h2", "Versions", id="versions"),
        versions_table(run.versions) if run.versions else element("p", "No version was trained in this run."),
        element("h2", "Rollouts", id="rollouts"),
        rollouts_section(run.rollouts, run.versions),
        element("h2", "Each version in detail", id="details"),
        versions_section(run.versions),
    ]
    return document(run.title, join(told))


def render_rollout(rollout: RolloutReport) -> str:
    """One rollout alone."""
    kicker = f"Rollout {rollout.rollout_id}"
    if rollout.start is not None:
        kicker += f" on endpoint {rollout.start.endpoint}, began {wording.moment(rollout.began)}"
    return document(rollout.title, join([_kicker(kicker), rollout_section(rollout, [], "rollout", level=1)]))


def render_version(version: VersionReport) -> str:
    """One training run alone."""
    kicker = f"Training of {version.manifest.name}, config {version.manifest.config_sha256[:12]}"
    return document(version.title, join([_kicker(kicker), version_section(version, "version", level=1)]))


def write_report(run: RunReport, path: Path) -> None:
    """Write the report to ``path``, whole or not at all."""
    draft = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(render_report(run), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EnvironmentProblem(f"report {path} not written: {reason}; choose another folder") from error


def document(title: str, body: Html) -> str:
    """A complete page around ``body``."""
    style = files("interlock.report").joinpath("style.css").read_text(encoding="utf-8")
    head = [
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("title", title),
        element("style", Html(style)),
    ]
    page = element("html", element("head", join(head)), element("body", element("main", body)), lang="en")
    return f"<!doctype html>\n{page}\n"


def _kicker(text: str) -> Html:
    return element("p", text, class_="kicker")


def _verdicts(told: list[Headline]) -> Html:
    items = (
        element(
            "li",
            mark(headline.kind, headline.word),
            element("p", headline.sentence, class_="lead"),
            inequality(headline.reason) if headline.reason else "",
        )
        for headline in told
    )
    return element("ul", join(items), class_="verdicts", aria_label="What happened")


def _contents(run: RunReport) -> Html:
    links = [("versions", "Versions")]
    links += [(f"rollout-{i}", f"Rollout of version {r.candidate}") for i, r in enumerate(run.rollouts, start=1)]
    links += [(f"version-{i}", f"{wording.capital(v.name)} in detail") for i, v in enumerate(run.versions, start=1)]
    items = (element("li", element("a", text, href=f"#{target}")) for target, text in links)
    return element("nav", element("ul", join(items)), aria_label="Contents")
