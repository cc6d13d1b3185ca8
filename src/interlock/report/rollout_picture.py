"""One rollout over time: what the metric did, what the evidence said, what the traffic became."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from interlock.report import pictures, wording
from interlock.report.markup import Html
from interlock.report.run import RolloutReport
from interlock.report.timeline import Happening, Share, decisions, shares
from interlock.report.trajectory import Point, trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHED, DOTTED = (0, (5, 2)), (0, (1, 2))
FLOOR, CEILING = -4.0, 6.0  # powers of ten shown; beyond them the exact value decides nothing any more


def rollout_picture(rollout: RolloutReport, name: str) -> Html:
    """Three panels over the same time; only the traffic where nothing could be compared."""
    points, steps, moves = trajectory(rollout), shares(rollout), decisions(rollout)

    def paint(figure: Figure) -> None:
        if not points:
            _traffic(figure.subplots(1, 1), steps, moves, rollout)
            return
        grid = {"height_ratios": [1.15, 1.25, 0.85], "hspace": 0.28}
        mean, evidence, traffic = figure.subplots(3, 1, sharex=True, gridspec_kw=grid)
        _means(mean, points, _business(rollout))
        _evidence(evidence, points, rollout.strategy.alpha)
        _traffic(traffic, steps, moves, rollout)
        for axes in (mean, evidence):
            _decision_lines(axes, moves)

    size = (7.6, 6.6 if points else 2.1)
    margins = pictures.Margins(left=0.6, right=1.15, top=0.32, bottom=0.46)
    return pictures.draw(name, describe(rollout, points, steps), size, margins, paint)


def describe(rollout: RolloutReport, points: Sequence[Point], steps: Sequence[Share]) -> str:
    """The picture in words."""
    weights = ", ".join(f"{share.percent} % from {wording.seconds(share.seconds)}" for share in steps[1:-1])
    said = f"Traffic share of version {rollout.candidate} over time: {weights or 'none'}."
    if not points:
        return said
    last, limit = points[-1], 1 / rollout.strategy.alpha
    candidate, champion = wording.short(last.candidate), wording.short(last.champion)
    return (
        f"{said} At the last comparison {_business(rollout)} was {candidate} for the candidate and "
        f"{champion} for the champion; e-value of worse {wording.e_value(last.harm)}, of not worse than "
        f"+{last.margin:.0%} {wording.e_value(last.sound)}, threshold {limit:g}."
    )


def _business(rollout: RolloutReport) -> str:
    return next(metric.name for metric in rollout.metrics if metric.role == "business")


def _means(axes: Axes, points: Sequence[Point], metric: str) -> None:
    x, last = [p.seconds for p in points], points[-1]
    known = [
        (p.seconds, p.champion + p.low, p.champion + p.high) for p in points if p.low is not None and p.high is not None
    ]
    if known:
        when, low, high = (list(values) for values in zip(*known, strict=True))
        axes.fill_between(when, low, high, color=pictures.CANDIDATE, alpha=0.14, linewidth=0)
        axes.plot([when[-1]] * 2, [low[-1], high[-1]], color=pictures.CANDIDATE, linewidth=4, alpha=0.35)
    limit = [p.champion * (1 + p.margin) for p in points]
    axes.plot(x, limit, color=pictures.MUTED, linewidth=1, linestyle=DOTTED, drawstyle="steps-post")
    axes.plot(x, [p.champion for p in points], color=pictures.CHAMPION, linestyle=DASHED)
    axes.plot(x, [p.candidate for p in points], color=pictures.CANDIDATE)
    axes.set_ylim(*_mean_range(points, limit))
    _name_lines(
        axes,
        [
            (last.candidate, f"candidate {last.candidate:.3g}", pictures.CANDIDATE),
            (last.champion, f"champion {last.champion:.3g}", pictures.CHAMPION),
            (limit[-1], f"champion +{last.margin:.0%}", pictures.MUTED),
        ],
    )
    axes.set_title(f"{metric}, mean so far (lower is better)")
    _grid(axes)


def _mean_range(points: Sequence[Point], limit: Sequence[float]) -> tuple[float, float]:
    """Room for the lines, and for the band once it has narrowed; the wide beginning of it is cut."""
    later = points[len(points) // 3 :]
    values = [value for p in points for value in (p.champion, p.candidate)] + list(limit)
    values += [p.champion + bound for p in later for bound in (p.low, p.high) if bound is not None]
    known = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(known), max(known)
    room = 0.08 * (high - low or 1.0)
    return (max(0.0, low - room) if low >= 0 else low - room), high + room


def _evidence(axes: Axes, points: Sequence[Point], alpha: float) -> None:
    x, threshold, last = [p.seconds for p in points], math.log10(1 / alpha), points[-1]
    harm, sound = [_power(p.harm) for p in points], [_power(p.sound) for p in points]
    high, low = max(threshold + 1.0, *harm, *sound), min(-1.0, *harm, *sound)
    axes.axhspan(threshold, high + 0.5, color=pictures.RULE, alpha=0.35, linewidth=0)
    axes.axhline(threshold, color=pictures.INK, linewidth=1)
    axes.plot(x, sound, color=pictures.SOUND, linestyle=DASHED)
    axes.plot(x, harm, color=pictures.HARM)
    axes.set_ylim(low - 0.2, high + 0.4)
    _name_lines(
        axes,
        [
            (harm[-1], f"worse {wording.e_value(last.harm)}", pictures.HARM),
            (sound[-1], f"not worse {wording.e_value(last.sound)}", pictures.SOUND),
            (threshold, f"1/alpha = {1 / alpha:g}", pictures.INK),
        ],
    )
    ticks = [t for t in range(math.ceil(low), math.floor(high) + 1) if high - low <= 6 or t % 2 == 0]
    axes.set_yticks(ticks, [f"{10.0**t:,g}" if t < 5 else f"10^{t}" for t in ticks])
    axes.set_title("Evidence (e-value, log scale): a line that reaches the threshold decides")
    _grid(axes)


def _power(log_e: float) -> float:
    return min(max(log_e / math.log(10), FLOOR), CEILING)


def _traffic(axes: Axes, steps: Sequence[Share], moves: Sequence[Happening], rollout: RolloutReport) -> None:
    x, y = [share.seconds for share in steps], [share.percent for share in steps]
    axes.fill_between(x, y, step="post", color=pictures.CANDIDATE, alpha=0.14, linewidth=0)
    axes.step(x, y, where="post", color=pictures.CANDIDATE)
    _decision_lines(axes, moves)
    for move in _weighed(moves):
        good = move.kind == "good"
        axes.plot(
            [move.seconds],
            [move.percent],
            marker="o" if good else "X",
            markersize=7 if good else 9,
            color=pictures.SOUND if good else pictures.HARM,
            markeredgecolor=pictures.PAPER,
            clip_on=False,
            zorder=5,
        )
    axes.set_ylim(0, 108)
    axes.set_yticks([0, 25, 50, 75, 100], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.set_title(f"Traffic share of version {rollout.candidate}")
    axes.set_xlim(0, max(x[-1], 1e-3))
    _time_axis(axes, x[-1])
    _grid(axes)


def _time_axis(axes: Axes, last: float) -> None:
    """Round numbers of the unit in which the whole rollout is easiest to say."""
    from matplotlib.ticker import MaxNLocator

    units = ((86400.0 * 3, 86400.0, "days"), (3600.0 * 3, 3600.0, "hours"), (60.0 * 5, 60.0, "minutes"))
    unit, name = next(((unit, name) for least, unit, name in units if last >= least), (1.0, "seconds"))
    ticks = [tick for tick in MaxNLocator(8).tick_values(0, last / unit) if 0 <= tick * unit <= last]
    axes.set_xticks([tick * unit for tick in ticks], [f"{tick:g}" for tick in ticks])
    axes.set_xlabel(f"{name} since the start of the rollout")


def _weighed(moves: Sequence[Happening]) -> list[Happening]:
    """The decisions that were taken on evidence from both versions."""
    return [move for move in moves if move.requests is not None]


def _decision_lines(axes: Axes, moves: Sequence[Happening]) -> None:
    """Where a decision was taken, through every panel."""
    for move in _weighed(moves):
        colour = pictures.SOUND if move.kind == "good" else pictures.HARM
        axes.axvline(move.seconds, color=colour, linewidth=0.8, alpha=0.6, zorder=0.5)


def _name_lines(axes: Axes, lines: Sequence[tuple[float, str, str]]) -> None:
    """Names at the right end of the lines, moved apart where they would cover each other."""
    bottom, top = axes.get_ylim()
    placed, gap = -math.inf, 0.115 * (top - bottom)
    for value, name, colour in sorted(line for line in lines if math.isfinite(line[0])):
        placed = max(value, placed + gap)
        axes.annotate(
            name,
            (1.0, placed),
            xycoords=axes.get_yaxis_transform(),
            xytext=(6, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            fontsize=8.5,
            annotation_clip=False,
        )


def _grid(axes: Axes) -> None:
    axes.grid(axis="y", color=pictures.RULE, linewidth=0.6, alpha=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
