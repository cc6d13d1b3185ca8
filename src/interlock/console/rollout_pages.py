"""One rollout: where it stands, the evidence as it grows, what was decided, and the way back."""

from __future__ import annotations

import time

from interlock.config import Strategy
from interlock.console.page import Page, Part, heading, link
from interlock.console.reading import Source, Told, deployment_job, find_rollout, rollout_config, rollout_report
from interlock.console.rollout_words import candidate_percent, standing, step_of
from interlock.console.words import state_mark
from interlock.contracts import Place
from interlock.errors import ConcurrentChange, InputError
from interlock.report import wording
from interlock.report.headline import rollout_headline
from interlock.report.markup import Content, Html, code, element, facts, figure, join, mark, table
from interlock.report.page import render_rollout
from interlock.report.rollout_picture import rollout_picture
from interlock.report.rollout_section import inequality
from interlock.report.run import RolloutReport
from interlock.report.shadow_section import shadow_section
from interlock.report.timeline import decisions
from interlock.report.trajectory import compared
from interlock.rollout.journal import Judged
from interlock.rollout.state import Phase
from interlock.vertex import catalog
from interlock.vertex.rollback import roll_back

LONGEST_REASON = 300


def require_rollout(place: Place, id_: str) -> Told:
    """The rollout ``id_``; :class:`InputError` if no journal tells of it."""
    told = find_rollout(place, id_)
    if told is None:
        raise InputError(f"there is no rollout {id_}: the list of rollouts has those there are")
    return told


def rollout_page(source: Source, id_: str) -> Page:
    """The rollout as it stands now."""
    place = source.place()
    told = require_rollout(place, id_)
    job = deployment_job(catalog.jobs(place), told)
    config = rollout_config(place, told, job)
    title = f"{told.endpoint}: version {told.start.candidate_version}"
    parts = [Part("title", heading(title, beside=state_mark(told.outcome)))]
    if config is None:
        unknown = "The config of this rollout cannot be read: neither its run nor its candidate has it."
        parts += [
            Part("standing", element("p", standing(told))),
            Part("config", element("p", unknown, class_="problem")),
        ]
    else:
        report = rollout_report(place, told, config)
        parts += [
            Part("standing", join([_standing(told, report), _way_back(source, told)])),
            Part("shadow", shadow_section(report, "shadow", 2)),
            Part("plan", join([_steps(told, config.strategy), _numbers(told, report, job)])),
            Part("evidence", _evidence(told, report)),
            Part("decisions", join([element("h2", "Decisions"), _decisions(report)])),
            Part("file", element("p", link(f"/rollouts/{id_}/report", "This rollout as one file"), class_="links")),
        ]
    return Page(
        title=title, parts=parts, trail=[("/rollouts", "Rollouts")], announcement=standing(told), live=not told.is_over
    )


def report_file(source: Source, id_: str) -> str:
    """The report of one rollout as it stands, as a document of its own."""
    place = source.place()
    told = require_rollout(place, id_)
    config = rollout_config(place, told, deployment_job(catalog.jobs(place), told))
    if config is None:
        raise InputError(f"the config of rollout {id_} cannot be read: its report cannot be drawn")
    return render_rollout(rollout_report(place, told, config))


def _standing(told: Told, report: RolloutReport) -> Html:
    if told.is_over:
        headline = rollout_headline(report, [])
        return join(
            [element("p", headline.sentence, class_="lead"), inequality(headline.reason) if headline.reason else ""]
        )
    judged = [entry.event for entry in told.entries if isinstance(entry.event, Judged)]
    parts: list[Content] = [element("p", standing(told), class_="lead")]
    if judged and told.state.phase is Phase.RUNNING:
        parts.append(
            element("p", element("strong", f"{judged[-1].action}: "), code(judged[-1].verdict.reason), class_="reason")
        )
    return join(parts)


def _way_back(source: Source, told: Told) -> Html:
    """The rollback button, where there is something to roll back to."""
    if not source.writable or not can_roll_back(told):
        return Html("")
    return element("p", element("a", "Roll back", href=f"/rollouts/{told.id}/rollback", class_="button danger"))


def can_roll_back(told: Told) -> bool:
    """Only the newest rollout of an endpoint, with a champion, that is not back already."""
    back = told.state.phase in {Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.ABORTED}
    withdrawn = told.state.settled is not None and told.state.phase is not Phase.PROMOTED
    return told.newest and bool(told.start.champion_version) and not back and not withdrawn


def _steps(told: Told, strategy: Strategy) -> Html:
    """The plan as a row of steps, each passed, under way or to come."""
    if not told.start.champion_version:
        return element("p", "The first version of this model: there was no champion to compare with.", class_="quiet")
    to_come = "not reached" if told.is_over else "to come"
    items = []
    for k, step in enumerate(strategy.steps):
        kind = _step_kind(told, k)
        words = {"good": "passed", "bad": "stopped here", "idle": to_come}
        word = _left(told, k, step.deadline_seconds) if kind == "here" else words[kind]
        items.append(_step(f"{step.weight} %", f"not worse than +{step.margin:.0%}", word, kind))
    promoted = told.state.phase is Phase.PROMOTED
    items.append(_step("100 %", "promotion", "promoted" if promoted else to_come, "good" if promoted else "idle"))
    return element("ol", join(items), class_="steps", aria_label="Steps of the rollout")


def _step_kind(told: Told, step: int) -> str:
    """good (passed), here (under way), bad (stopped in it) or idle."""
    if step in told.state.passed:
        return "good"
    if step != step_of(told):
        return "idle"
    return "here" if told.state.phase is Phase.RUNNING and not told.is_over else "bad"


def _step(weight: str, about: str, word: str, kind: str) -> Html:
    current = {"aria_current": "step"} if kind == "here" else {}
    return element(
        "li",
        element("strong", weight),
        element("span", about, class_="quiet"),
        element("span", word, class_="word"),
        class_=f"step {kind}",
        **current,
    )


def _left(told: Told, step: int, deadline_seconds: float) -> str:
    left = told.state.step_began[step] + deadline_seconds - time.time()
    return f"{wording.seconds(max(round(left), 0)).replace('.00', '')} to its deadline"


def _numbers(told: Told, report: RolloutReport, job: catalog.Job | None) -> Html:
    strategy, restored = report.strategy, report.seconds_to_restore
    limit = strategy.maximum_candidate_requests
    spent = wording.count(report.candidate_requests) + (f" of {wording.count(limit)} allowed" if limit else "")
    both = sum(check.requests for _, check in compared(told.entries))
    ended = told.entries[-1].time if told.is_over else time.time()
    pairs: list[tuple[str, Content]] = [
        ("Candidate's share now", f"{candidate_percent(told)} %"),
        ("Requests the candidate answered", spent),
        ("Requests compared, both versions", wording.count(both)),
        ("Chance of a wrong decision", f"{strategy.alpha:g} each way, over all looks"),
        ("On deadline", strategy.on_deadline),
        ("Since the start", wording.seconds(round(ended - told.began)).replace(".00", "")),
        ("Metrics", ", ".join(f"{metric.name} ({metric.role})" for metric in report.metrics)),
        ("Pipeline run", link(f"/runs/{job.id}", job.id) if job else "not found"),
    ]
    if restored is not None:
        pairs.append(("From decision to traffic restored", wording.seconds(restored)))
    return facts(pairs)


def _evidence(told: Told, report: RolloutReport) -> Html:
    if not told.start.champion_version:
        return Html("")
    if not compared(told.entries):
        until = "" if told.is_over else " yet"
        return element("p", f"No check has counted requests of both versions{until}.", class_="quiet empty")
    limit = 1 / report.strategy.alpha
    caption = element(
        "span",
        "Top: mean per request of both versions. Middle: two e-values; at ",
        f"{limit:g} = 1/alpha a line decides: ",
        element("span", "worse", class_="harm-text"),
        " rolls back, ",
        element("span", "not worse", class_="sound-text"),
        " goes on. Bottom: the traffic that followed.",
    )
    return join([element("h2", "Evidence"), figure(_picture(report, len(report.entries)), caption)])


_PICTURES: dict[tuple[str, int], Html] = {}


def _picture(report: RolloutReport, entries: int) -> Html:
    """Drawn once for every length of the journal; of each rollout the newest is kept."""
    key = (report.rollout_id, entries)
    if key not in _PICTURES:
        picture = rollout_picture(report, "evidence")
        for old in [known for known in list(_PICTURES) if known[0] == report.rollout_id]:
            _PICTURES.pop(old, None)
        _PICTURES[key] = picture
    return _PICTURES[key]


def _decisions(report: RolloutReport) -> Html:
    rows = [
        (
            wording.clock(move.seconds),
            element("span", move.what) if move.kind == "plain" else mark(move.kind, move.what),
            f"{move.percent} %",
            code(move.reason) if move.reason else "",
        )
        for move in reversed(decisions(report))
    ]
    head = ("After", "What", "Share", "Inequality that decided")
    return table("Newest first; share: of the candidate", head, rows, numbers=(0, 2))


def confirm_page(source: Source, id_: str) -> Page:
    """Asks once, and says what will happen."""
    told = _require_way_back(source, id_)
    start = told.start
    form = element(
        "form",
        Html(f'<input type="hidden" name="token" value="{source.token}">'),
        element("label", "Why", for_="reason"),
        Html(f'<input id="reason" name="reason" maxlength="{LONGEST_REASON}" autocomplete="off">'),
        element(
            "p",
            element("button", "Roll back now", type="submit", class_="button danger"),
            " ",
            link(f"/rollouts/{id_}", "Leave it as it is"),
        ),
        method="post",
        action=f"/rollouts/{id_}/rollback",
        class_="confirm",
    )
    said = element(
        "p",
        f"All traffic of endpoint {told.endpoint} goes back to version {start.champion_version}, and with it the "
        f"alias production. Version {start.candidate_version}, which has {candidate_percent(told)} % now, is "
        "quarantined: it cannot be promoted again until somebody lifts that.",
    )
    title = f"Roll back version {start.candidate_version}?"
    trail = [("/rollouts", "Rollouts"), (f"/rollouts/{id_}", f"{told.endpoint}: version {start.candidate_version}")]
    parts = [Part("title", heading(title)), Part("confirm", join([said, form]))]
    return Page(title=title, parts=parts, trail=trail, live=False)


def order_rollback(source: Source, id_: str, reason: str) -> None:
    """Do it. What the person saw must still be so: :class:`ConcurrentChange` otherwise."""
    told, place = _require_way_back(source, id_), source.place()
    config = rollout_config(place, told, deployment_job(catalog.jobs(place), told))
    if config is None:
        raise InputError(f"the config of rollout {id_} cannot be read: use `interlock rollback --config`")
    said = " ".join(reason.split())[:LONGEST_REASON]
    roll_back(place, config, f"ordered in the console: {said}" if said else "ordered in the console")


def _require_way_back(source: Source, id_: str) -> Told:
    if not source.writable:
        raise InputError("this console is read-only: start it with --writable")
    told = require_rollout(source.place(), id_)
    if not can_roll_back(told):
        raise ConcurrentChange(
            f"rollout {id_} can no longer be rolled back: it is {told.outcome}, or another one followed"
        )
    return told
