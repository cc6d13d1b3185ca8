"""The first page, the history of production, and the schedules."""

from __future__ import annotations

from interlock.console.drawing import share_bar
from interlock.console.page import Page, Part, heading, link, nothing
from interlock.console.reading import NO_WAREHOUSE, Source, Told, known_rollouts, told_rollouts, warehouse
from interlock.console.rollout_words import standing
from interlock.console.run_pages import runs_table
from interlock.console.words import moment, state_mark
from interlock.contracts import Place
from interlock.report import wording
from interlock.report.markup import Content, Html, element, join, table
from interlock.rollout.history import production_changes
from interlock.rollout.ports import EndpointState
from interlock.vertex import catalog
from interlock.vertex.endpoint import VertexEndpoint, endpoint_names

NEWEST = 8


def overview(source: Source) -> Page:
    """What runs now, and what happened last."""
    place = source.place()
    names, told, jobs = endpoint_names(place), known_rollouts(place), catalog.jobs(place)
    running = [job for job in jobs if not job.is_over]
    under_way = [one for one in told or [] if not one.is_over]
    parts = [
        Part("title", heading("Overview", kicker=f"{place.project}, {place.location}")),
        Part("now", join([_now(under_way), _endpoints(place, names)])),
        Part("rollouts", join([element("h2", "Rollouts"), rollouts_table(told, NEWEST)])),
        Part("runs", join([element("h2", "Pipeline runs"), runs_table(jobs[:NEWEST])])),
    ]
    rollouts = "rollouts not known" if told is None else f"{wording.plural(len(under_way), 'rollout')} under way"
    said = f"{wording.capital(rollouts)}, {wording.plural(len(running), 'run')} running."
    return Page(title="Interlock", parts=parts, announcement=said)


def _now(under_way: list[Told]) -> Html:
    if not under_way:
        return Html("")
    items = (
        element(
            "li",
            state_mark(told.outcome),
            element("p", link(f"/rollouts/{told.id}", standing(told)), class_="lead"),
        )
        for told in under_way
    )
    return element("ul", join(items), class_="verdicts", aria_label="Under way")


def _endpoints(place: Place, names: list[str]) -> Html:
    if not names:
        return nothing("Nothing is deployed yet. Train and deploy a model: ", element("code", "interlock submit"), ".")
    return element("div", join(endpoint_card(place, name) for name in names), class_="cards")


def endpoint_card(place: Place, name: str) -> Html:
    """An endpoint and how its traffic is split."""
    state = VertexEndpoint(place, name).find()
    return element(
        "article",
        element("h2", link(f"/endpoints/{name}", name)),
        share_bar(shares(state)) if state else nothing("It is being made."),
        class_="card",
    )


def shares(state: EndpointState) -> list[tuple[str, int, str]]:
    """(version, percent, style), the version with most traffic first and in the champion's style if there are two."""
    found = sorted(((state.versions[id_], percent) for id_, percent in state.traffic.items()), key=lambda one: -one[1])
    styles = ["candidate"] if sum(percent > 0 for _, percent in found) < 2 else ["champion", "candidate"]
    return [(version, percent, styles[min(k, len(styles) - 1)]) for k, (version, percent) in enumerate(found)]


def rollouts_table(told: list[Told] | None, most: int | None = None) -> Html:
    """Rollouts, one a row, ``most`` of them; None where they are not known."""
    if told is None:
        return nothing(NO_WAREHOUSE)
    if not told:
        return nothing("No rollout yet.")
    rows = [
        (
            link(f"/rollouts/{one.id}", f"{one.endpoint}: version {one.start.candidate_version}"),
            f"version {one.start.champion_version}" if one.start.champion_version else "none",
            state_mark(one.outcome),
            moment(one.began),
            wording.seconds(one.entries[-1].time - one.began),
        )
        for one in told[:most]
    ]
    return table(
        "Rollouts, newest first", ("Candidate", "Champion", "Outcome", "Began (UTC)", "Took"), rows, numbers=(4,)
    )


def rollouts_page(source: Source) -> Page:
    """All rollouts."""
    told = told_rollouts(source.place())
    parts = [Part("title", heading("Rollouts")), Part("rollouts", rollouts_table(told))]
    return Page(title="Rollouts", parts=parts)


def history_page(source: Source) -> Page:
    """Which version was in production when."""
    place = source.place()
    found = [_history(place, name) for name in endpoint_names(place)]
    body = join(found) if found else nothing("Nothing was in production yet.")
    parts = [Part("title", heading("History of production")), Part("history", body)]
    return Page(title="History", parts=parts)


def _history(place: Place, name: str) -> Html:
    changes = list(reversed(production_changes(warehouse(place), name)))
    if not changes:
        return join([element("h2", name), nothing("No version was in production yet.")])
    rows: list[tuple[Content, ...]] = [
        (
            moment(change.time),
            link(f"/models/{name}/{change.version}", f"version {change.version}") if change.version else "none",
            _mover(change.by),
            element("code", change.reason),
        )
        for change in changes
    ]
    head = ("Since (UTC)", "In production", "Moved by", "Why")
    return join([element("h2", name), table(f"Production of {name}, newest first", head, rows)])


def _mover(by: str) -> Content:
    id_ = by.removeprefix("rollout ")
    return link(f"/rollouts/{id_}", by) if by != id_ else by


def schedules_page(source: Source) -> Page:
    """What starts pipelines by the clock."""
    place = source.place()
    found = catalog.schedules(place)
    newest: dict[str, str] = {}
    for job in catalog.jobs(place):
        newest.setdefault(job.schedule, job.id)
    rows = [
        (
            one.title,
            one.pipeline,
            element("code", one.cron),
            state_mark(one.state),
            moment(one.next_run),
            link(f"/runs/{newest[one.id]}", moment(one.last_run)) if one.id in newest else moment(one.last_run),
            f"{one.started_runs} of {one.maximum_runs}" if one.maximum_runs else str(one.started_runs),
        )
        for one in found
    ]
    head = ("Schedule", "Pipeline", "Cron", "State", "Next run (UTC)", "Last run (UTC)", "Runs")
    body = table("Schedules, newest first", head, rows, numbers=(6,)) if rows else nothing("No schedule yet.")
    return Page(title="Schedules", parts=[Part("title", heading("Schedules")), Part("schedules", body)])
