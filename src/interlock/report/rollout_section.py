"""One rollout on the page: verdict, picture, decisions, and every number behind them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from interlock.config import Metric, Strategy
from interlock.report import wording
from interlock.report.headline import rollout_headline
from interlock.report.markup import Content, Html, code, details, element, facts, figure, join, mark, table
from interlock.report.rollout_picture import rollout_picture
from interlock.report.run import RolloutReport, VersionReport
from interlock.report.shadow_section import shadow_checks, shadow_section
from interlock.report.timeline import decisions, looks
from interlock.report.trajectory import Point, compared, trajectory
from interlock.rollout.journal import Started


def rollout_section(rollout: RolloutReport, versions: list[VersionReport], name: str, level: int = 3) -> Html:
    """``name`` is the id of the section and the beginning of every id in it."""
    points, headline = trajectory(rollout), rollout_headline(rollout, versions)
    title = element(f"h{level}", rollout.title, " ", mark(headline.kind, headline.word))
    parts: list[Html] = [title, element("p", headline.sentence)]
    if headline.reason:
        parts.append(inequality(headline.reason))
    parts.append(shadow_section(rollout, name, level + 1))
    if rollout.start is not None and rollout.champion and _reached_traffic(rollout):
        parts.append(figure(rollout_picture(rollout, name), _caption(rollout, points)))
    parts += [_decision_table(rollout), _plan(rollout)] if rollout.champion else [_decision_table(rollout)]
    if points:
        parts.append(details("Checks: counts and e-values", _check_table(rollout, points)))
    if any(True for _ in looks(rollout)):
        parts.append(details("Every look at the evidence", _look_table(rollout)))
    if rollout.start is not None:
        parts.append(details("Provenance", _provenance(rollout, rollout.start)))
    return element("section", *parts, id=name)


def _reached_traffic(rollout: RolloutReport) -> bool:
    """False for a rollout that ended in the shadow: there is no traffic to draw."""
    return bool(compared(rollout.entries)) or not shadow_checks(rollout)


def inequality(reason: str) -> Html:
    """The reason as it was written when the decision was taken."""
    return element("p", code(reason), class_="reason")


def _caption(rollout: RolloutReport, points: list[Point]) -> Html:
    if not points:
        return element("span", "No check counted requests of both versions: there is no evidence to draw.")
    limit = 1 / rollout.strategy.alpha
    return element(
        "span",
        element("strong", "How to read it. "),
        "Top: mean per request of both versions, weighted check by check so that a change of traffic "
        "cannot look like a change of the model; it may differ a little from the plain means in the "
        "inequality. The band, valid at every look, is where the candidate lies relative to the champion. "
        f"Middle: two e-values, 1 while there is too little to say. At {limit:g} = 1/alpha a line decides: ",
        element("span", "worse", class_="harm-text"),
        " rolls back, ",
        element("span", "not worse", class_="sound-text"),
        " than the margin of the step goes on. Bottom: the traffic that followed; a dot is a step passed, a "
        "cross a rollback. E-values outside 0.0001 to 1,000,000 are drawn at that edge.",
    )


def _decision_table(rollout: RolloutReport) -> Html:
    rows = [
        (
            wording.clock(move.seconds),
            element("span", move.what) if move.kind == "plain" else mark(move.kind, move.what),
            f"{move.percent} %",
            _pair(move.candidate_requests, move.requests),
            code(move.reason) if move.reason else "",
        )
        for move in decisions(rollout)
    ]
    head = ("After", "What", "Share", "Requests", "Inequality that decided")
    caption = f"Decisions of {rollout.rollout_id} (share: of the candidate; requests: candidate / both)"
    return table(caption, head, rows, numbers=(0, 2, 3))


def _pair(candidate: int | None, requests: int | None) -> str:
    if candidate is None or requests is None:
        return ""
    return f"{wording.count(candidate)} / {wording.count(requests)}"


def _plan(rollout: RolloutReport) -> Html:
    strategy, restored = rollout.strategy, rollout.seconds_to_restore
    steps = " \N{RIGHTWARDS ARROW} ".join(f"{step.weight} %" for step in strategy.steps)
    margins = ", ".join(f"+{step.margin:.0%} at {step.weight} %" for step in strategy.steps)
    metrics = ", ".join(f"{metric.name} ({metric.role})" for metric in rollout.metrics)
    return facts(
        [
            ("Plan", f"{steps} \N{RIGHTWARDS ARROW} 100 %"),
            ("Not worse than", margins),
            ("Chance of a wrong decision", f"{strategy.alpha:g} each way, over all looks"),
            ("Metrics", metrics),
            ("Requests the candidate served", wording.count(rollout.candidate_requests)),
            (
                "From decision to traffic restored",
                wording.NONE if restored is None else wording.seconds(restored),
            ),
        ]
    )


def _provenance(rollout: RolloutReport, start: Started) -> Html:
    """What was compared where, by which plan and metrics: enough to compute the decisions again from the checks."""
    began, ended = rollout.entries[0].time, rollout.entries[-1].time

    def deployed(version: str, id_: str) -> Content:
        return join([f"version {version}, deployed as ", code(id_)], "") if version else "none"

    pairs: list[tuple[str, Content]] = [
        ("Rollout", code(rollout.rollout_id)),
        ("Endpoint", start.endpoint),
        ("Candidate", deployed(start.candidate_version, start.candidate_deployed)),
        ("Champion", deployed(start.champion_version, start.champion_deployed)),
        ("First entry of the journal", wording.moment(began)),
        ("Last entry", f"{wording.moment(ended)}, number {rollout.entries[-1].number}"),
    ]
    plan = {"strategy": _set(rollout.strategy), "metrics": [_set(metric) for metric in rollout.metrics]}
    text = msgspec.json.format(msgspec.json.encode(plan)).decode()
    return join([facts(pairs), element("pre", text, tabindex="0")])


def _set(section: Strategy | Metric) -> dict[str, object]:
    """What a section of the config says, without what it leaves empty."""
    return {key: value for key, value in msgspec.to_builtins(section).items() if value not in (None, "", [], {})}


def _check_table(rollout: RolloutReport, points: Sequence[Point]) -> Html:
    names, every = [metric.name for metric in rollout.metrics], len(compared(rollout.entries))
    head = ["After", "Log rows", "Weight", "Requests", "Candidate's"]
    head += [f"{name}, {arm}" for name in names for arm in ("candidate", "champion")]
    head += ["e-value worse", "e-value not worse"]
    rows = []
    for point in points:
        check = point.check
        means = [wording.short(arm.sample(name).mean) for name in names for arm in (check.candidate, check.champion)]
        rows.append(
            [
                wording.clock(point.seconds),
                f"{wording.count(check.after + 1)} to {wording.count(check.until)}",
                f"{check.weight} %",
                wording.count(check.requests),
                wording.count(check.candidate.requests),
                *means,
                wording.e_value(point.harm),
                wording.e_value(point.sound),
            ]
        )
    return table(
        f"{len(points)} of {every} checks: means are of this check alone, e-values of all so far",
        head,
        rows,
        numbers=range(len(head)),
    )


def _look_table(rollout: RolloutReport) -> Html:
    rows = [
        (
            wording.clock(seconds),
            str(judged.step + 1),
            judged.action,
            str(judged.verdict.kind),
            code(judged.verdict.reason),
        )
        for seconds, judged in looks(rollout)
    ]
    return table("Looks", ("After", "Step", "Action", "Verdict", "Reason"), rows, numbers=(0, 1))


def rollouts_section(rollouts: Sequence[RolloutReport], versions: list[VersionReport]) -> Html:
    """All rollouts in order."""
    if not rollouts:
        return element("p", "No version was deployed in this run.")
    return join(rollout_section(rollout, versions, f"rollout-{i}") for i, rollout in enumerate(rollouts, start=1))
