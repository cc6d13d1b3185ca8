"""The shadow on the page: what the candidate answered to logged requests, before it had any traffic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from interlock.report import pictures, wording
from interlock.report.markup import Content, Html, code, details, element, facts, figure, join, mark, table
from interlock.report.run import RolloutReport
from interlock.rollout.journal import Shadowed, ShadowJudged
from interlock.rollout.pairs import Comparison, ShadowCheck, compared, paired_harm, paired_noninferiority, pooled_costs
from interlock.rollout.strategy import Action

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 100  # a picture shows no more, and the evidence is computed afresh for each
LOWEST, HIGHEST = -4.0, 6.0  # powers of ten shown


def shadow_section(rollout: RolloutReport, name: str, level: int) -> Html:
    """Nothing without a shadow. ``name`` begins every id in it."""
    checks = shadow_checks(rollout)
    judged = [(e.time - rollout.began, e.event) for e in rollout.entries if isinstance(e.event, ShadowJudged)]
    if not checks and not judged:
        return Html("")
    said = element(
        "p",
        f"Before any traffic, version {rollout.candidate} answered requests of the log again, on an endpoint of its "
        "own. Both versions answered the same requests.",
    )
    parts: list[Content] = [element(f"h{level}", "Shadow", " ", _outcome(judged)), said]
    if judged:
        parts.append(element("p", code(judged[-1][1].verdict.reason), class_="reason"))
    if checks:
        found = compared(checks)
        parts.append(facts(_numbers(checks, found)))
        cap = next((metric.cap for metric in rollout.metrics if metric.role == "business"), None)
        if cap and rollout.strategy.shadow is not None and pooled_costs(checks):
            parts.append(figure(_picture(rollout, checks, cap, f"{name}-shadow"), _caption(rollout)))
        parts.append(_slices(found))
        parts.append(details("Shadow checks", _check_table(checks)))
    return join(parts)


def shadow_checks(rollout: RolloutReport) -> list[ShadowCheck]:
    """The batches that were answered again, oldest first."""
    return [entry.event.check for entry in rollout.entries if isinstance(entry.event, Shadowed)]


def _outcome(judged: Sequence[tuple[float, ShadowJudged]]) -> Html:
    action = judged[-1][1].action if judged else ""
    if action == Action.CONTINUE:
        return mark("good", "passed")
    return mark("bad", "rolled back") if action == Action.ROLL_BACK else mark("open", "undecided")


def _numbers(checks: Sequence[ShadowCheck], found: Comparison | None) -> list[tuple[str, Content]]:
    sent, failed = sum(c.sent for c in checks), sum(c.failed for c in checks)
    again = f"{wording.count(sent - failed)} of {wording.count(sent)}, {wording.count(failed)} failed"
    pairs: list[tuple[str, Content]] = [("Requests answered again", again)]
    if found is not None:
        pairs += [
            ("Decisions changed", f"{wording.count(found.flips)}, {found.flips / (sent - failed):.2%}"),
            ("Scores apart, mean", wording.number(found.distance)),
            ("Latency, mean", f"candidate {found.candidate_ms:.2f} ms, champion {_milliseconds(found.champion_ms)}"),
        ]
    costs = pooled_costs(checks)
    if known := sum(costs.values()):
        theirs, mine = (sum(key[arm] * n for key, n in costs.items()) / known for arm in (0, 1))
        about = f"candidate {wording.number(mine)}, champion {wording.number(theirs)}"
        pairs.append(("Cost per request", f"{about}, {wording.plural(known, 'outcome')}"))
        said, ours, truth = (sum(c.scores[k] for c in checks) / known for k in range(3))
        about = (
            f"candidate {wording.number(ours)}, champion {wording.number(said)}, what happened {wording.number(truth)}"
        )
        pairs.append(("Calibration: mean score", about))
    return pairs


def _milliseconds(mean: float | None) -> str:
    return "not logged" if mean is None else f"{mean:.2f} ms"


def _caption(rollout: RolloutReport) -> Html:
    assert rollout.strategy.shadow is not None
    return element(
        "span",
        "Paired evidence from the same requests. At ",
        f"{1 / rollout.strategy.alpha:g} = 1/alpha a line decides: ",
        element("span", "worse", class_="harm-text"),
        " ends the rollout, ",
        element("span", "not worse", class_="sound-text"),
        f" than +{rollout.strategy.shadow.margin:.0%} lets it begin.",
    )


def _picture(rollout: RolloutReport, checks: Sequence[ShadowCheck], cap: float, name: str) -> Html:
    """Both e-values over the requests with an outcome."""
    shadow = rollout.strategy.shadow
    assert shadow is not None
    every = math.ceil(len(checks) / POINTS)
    kept = sorted({*range(0, len(checks), every), len(checks) - 1})
    x, harm, sound = [], [], []
    for k in kept:
        costs = pooled_costs(checks[: k + 1])
        x.append(sum(costs.values()))
        harm.append(_power(paired_harm(costs, cap)))
        sound.append(_power(paired_noninferiority(costs, cap, shadow.margin)))
    threshold = math.log10(1 / rollout.strategy.alpha)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axhline(threshold, color=pictures.INK, linewidth=1)
        axes.plot(x, sound, color=pictures.SOUND, linestyle=(0, (5, 2)), marker="o", markersize=3)
        axes.plot(x, harm, color=pictures.HARM, marker="o", markersize=3)
        low, high = min(-1.0, *harm, *sound) - 0.2, max(threshold + 1, *harm, *sound) + 0.4
        axes.set_ylim(low, high)
        ticks = list(range(math.ceil(low), math.floor(high) + 1))
        axes.set_yticks(ticks, [f"{10.0**tick:g}" if tick < 5 else f"10^{tick}" for tick in ticks])
        axes.set_xlim(0, max(x[-1], 1) * 1.02)
        axes.set_xlabel("requests with an outcome")
        axes.set_title("Evidence in the shadow (e-value, log scale)")
        for value, word, colour in ((harm[-1], "worse", pictures.HARM), (sound[-1], "not worse", pictures.SOUND)):
            axes.annotate(
                word,
                (1.0, value),
                xycoords=axes.get_yaxis_transform(),
                xytext=(6, 0),
                textcoords="offset points",
                color=colour,
                va="center",
                fontsize=8.5,
            )
        axes.grid(axis="y", color=pictures.RULE, linewidth=0.6, alpha=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)

    said = (
        f"Evidence in the shadow after {wording.plural(x[-1], 'request')} with an outcome: e-value of worse "
        f"10^{harm[-1]:.1f}, of not worse than +{shadow.margin:.0%} 10^{sound[-1]:.1f}."
    )
    return pictures.draw(name, said, (7.6, 2.9), pictures.Margins(left=0.6, right=1.15, top=0.32, bottom=0.46), paint)


def _power(log_e: float) -> float:
    return min(max(log_e / math.log(10), LOWEST), HIGHEST)


def _slices(found: Comparison | None) -> Html:
    """Where decisions changed most; small slices are one click away with all the others."""
    if found is None or not found.slices:
        return Html("")
    rows = [
        (name, wording.count(answered), wording.count(flips), f"{flips / answered:.2%}")
        for name, (answered, flips) in found.slices.items()
    ]
    head = ("Slice", "Requests", "Decisions changed", "Share")
    return details(
        f"Decisions changed by slice ({wording.plural(len(rows), 'slice')})",
        table("Decisions changed, largest share first", head, rows, numbers=(1, 2, 3)),
    )


def _check_table(checks: Sequence[ShadowCheck]) -> Html:
    rows = [
        (
            f"{wording.count(check.after + 1)} to {wording.count(check.until)}",
            wording.count(check.sent),
            wording.count(check.failed),
            wording.count(check.flips),
            wording.count(check.with_outcome),
        )
        for check in checks
    ]
    head = ("Log rows", "Sent", "Failed", "Decisions changed", "With outcome")
    return table("Batches of logged requests, oldest first", head, rows, numbers=range(len(head)))
