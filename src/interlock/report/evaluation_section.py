"""How good a version is, against the champion and for whom. A task without ROC or classes has fewer parts."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.config import lower_is_better
from interlock.contracts import Comparison, Evaluation, Measure
from interlock.report import wording
from interlock.report.evaluation_pictures import calibration_picture, roc_picture
from interlock.report.markup import BREAK, Content, Html, details, element, figure, join, mark, table
from interlock.report.run import VersionReport
from interlock.report.slices_picture import SHOWN, compared_rows, measured_rows, slices_picture

FIRST = ("auc", "auc_macro", "rmse")  # what a task is first asked for


def primary(evaluation: Evaluation) -> Measure | None:
    """The measure on all rows that a reader asks for first, None without any."""
    known = [measure for measure in evaluation.measures if not measure.slice]
    return next((m for name in FIRST for m in known if m.metric == name), known[0] if known else None)


def overall(evaluation: Evaluation, metric: str) -> Measure | None:
    """The measure on all rows, None where the evaluation does not have it."""
    return next((m for m in evaluation.measures if m.metric == metric and not m.slice), None)


def evaluation_section(version: VersionReport, name: str) -> Html:
    """``name`` begins every id in it."""
    evaluation = version.evaluation
    parts = [_comparison(evaluation), _slices(version, name), _curves(evaluation, name)]
    if evaluation.confusion:
        parts.append(_confusion(evaluation))
    parts.append(_speed(evaluation))
    parts.append(details("Every measure, on every slice", _measure_table(evaluation.measures)))
    if evaluation.slice_comparisons:
        every = _comparison_table("Against the champion, on every slice", evaluation.slice_comparisons, sliced=True)
        parts.append(details("Against the champion, on every slice", every))
    return join(parts)


def _comparison(evaluation: Evaluation) -> Html:
    if evaluation.champion_unscorable:
        return element("p", mark("open", "not compared"), f" The champion: {evaluation.champion_unscorable}")
    if not evaluation.comparisons:
        return element("p", "First version: no champion to compare with.")
    rows = wording.plural(evaluation.rows, "row")
    caption = f"Against version {evaluation.champion}, on the same {rows}"
    return _comparison_table(caption, evaluation.comparisons)


def _comparison_table(caption: str, comparisons: Sequence[Comparison], *, sliced: bool = False) -> Html:
    rows = []
    for comparison in comparisons:
        cells: list[Content] = [
            comparison.metric,
            wording.number(comparison.candidate),
            wording.number(comparison.champion),
            wording.signed(comparison.difference),
            _signed_interval(comparison),
            _tendency(comparison),
        ]
        rows.append([comparison.slice, wording.count(comparison.n), *cells] if sliced else cells)
    head = ["Metric", "Candidate", "Champion", "Difference", "95 % interval", "Reading"]
    if sliced:
        return table(caption, ["Slice", "Rows", *head], rows, numbers=(1, 3, 4, 5, 6))
    return table(caption, head, rows, numbers=(1, 2, 3, 4))


def _signed_interval(comparison: Comparison) -> str:
    if comparison.low is None or comparison.high is None:
        return wording.NONE
    return f"{wording.signed(comparison.low)} to {wording.signed(comparison.high)}"


def _tendency(comparison: Comparison) -> Html:
    """What the interval says: zero inside it says nothing."""
    if comparison.low is None or comparison.high is None:
        return mark("open", "not measured")
    if comparison.low <= 0 <= comparison.high:
        return mark("open", "no clear difference")
    better = (comparison.high < 0) == lower_is_better(comparison.metric)
    return mark("good", "better") if better else mark("bad", "worse")


def _slices(version: VersionReport, name: str) -> Html:
    """Quality on each slice, and the difference to the champion on each."""
    evaluation, first = version.evaluation, primary(version.evaluation)
    if first is None:
        return Html("")
    pictures, metric = [], first.metric
    title, lower = metric_title(metric), lower_is_better(metric)
    if rows := measured_rows(evaluation.measures, version.gates, metric):
        caption = (
            f"{title} by slice with 95 % intervals. An upright tick is the gate's limit, which the interval must "
            f"clear; a hollow dot has too few rows to be judged.{_cut(len(rows))}"
        )
        line = (first.value, f"all rows {first.value:.3f}") if first.value is not None else None
        drawn = slices_picture(rows, f"{name}-slices", title, line, lower_is_better=lower)
        pictures.append(figure(drawn, caption))
    if rows := compared_rows(evaluation.slice_comparisons, version.gates, metric):
        side = "left" if lower else "right"
        caption = (
            f"{title} of the candidate minus that of the champion, on the same rows of each slice: {side} of the line "
            "is better, an interval across it says nothing. Ticks are limits and hollow dots have too few rows, as "
            f"above.{_cut(len(rows))}"
        )
        unit, line = f"{title}, candidate minus champion", (0.0, "as good")
        drawn = slices_picture(rows, f"{name}-against", unit, line, lower_is_better=lower)
        pictures.append(figure(drawn, caption))
    return join(pictures)


def metric_title(metric: str) -> str:
    """As people write it."""
    return "AUC" if metric == "auc" else metric


def _cut(known: int) -> str:
    return f" The {SHOWN} worst of {known} are shown." if known > SHOWN else ""


def _curves(evaluation: Evaluation, name: str) -> Html:
    pictures = []
    if evaluation.roc:
        caption = "ROC curve on the test rows. The dot is the model's threshold, the dotted line is chance."
        pictures.append(figure(roc_picture(evaluation, f"{name}-roc"), caption))
    if evaluation.calibration:
        caption = (
            "Calibration: each dot is a tenth of the test rows by what the model said. On the dotted line it means "
            "what it says; below it, it says too much."
        )
        pictures.append(figure(calibration_picture(evaluation, f"{name}-calibration"), caption))
    return element("div", *pictures, class_="curves") if pictures else Html("")


def _confusion(evaluation: Evaluation) -> Html:
    total = sum(sum(row) for row in evaluation.confusion) or 1
    names = evaluation.classes or [str(label) for label in range(len(evaluation.confusion))]
    rows = [
        (f"actually {names[label]}", *(_cell(value, total, good=label == said) for said, value in enumerate(row)))
        for label, row in enumerate(evaluation.confusion)
    ]
    at = f" at threshold {evaluation.threshold:.3g}" if evaluation.task == "binary" else ""
    caption = f"Confusion{at}, {wording.plural(evaluation.rows, 'row')}"
    head = ["Label", *(f"predicted {name}" for name in names)]
    return table(caption, head, rows, numbers=range(1, len(head)))


def _cell(value: int, total: int, *, good: bool) -> Html:
    share = element("span", f"{value / total:.1%} {'right' if good else 'wrong'}", class_="quiet")
    return element("span", wording.count(value), BREAK, share)


def _speed(evaluation: Evaluation) -> Html:
    """Latency of the candidate's server and, asked in turn, the champion's; what they hold in memory."""
    if not evaluation.latencies:
        return Html("")
    rows = [
        (
            one.model,
            wording.count(one.rows),
            wording.count(one.requests),
            _milliseconds(one.p50_ms, one.p50_low, one.p50_high),
            _milliseconds(one.p99_ms, one.p99_low, one.p99_high),
        )
        for one in evaluation.latencies
    ]
    caption = "Latency on loopback, one connection (95 % interval)"
    if evaluation.latency_p99_ratio:
        ratio, low, high = evaluation.latency_p99_ratio
        caption += f"; candidate's p99 is {ratio:.2f} times the champion's ({low:.2f} to {high:.2f})"
    if evaluation.memory_bytes is not None:
        caption += f"; {wording.megabytes(evaluation.memory_bytes)} in memory"
    head = ("Model", "Rows per request", "Requests", "p50", "p99")
    return table(caption, head, rows, numbers=(1, 2, 3, 4))


def _milliseconds(value: float, low: float | None, high: float | None) -> Html:
    bounds = "too few for bounds" if low is None or high is None else f"{low:.2f} to {high:.2f}"
    return element("span", f"{value:.2f} ms", BREAK, element("span", bounds, class_="quiet"))


def _measure_table(measures: Sequence[Measure]) -> Html:
    rows = [
        (
            m.slice or "all rows",
            m.metric,
            wording.count(m.n),
            wording.number(m.value),
            wording.interval(m.low, m.high),
        )
        for m in measures
    ]
    head = ("Slice", "Metric", "Rows", "Value", "95 % interval")
    return table("Measures on the test rows", head, rows, numbers=(2, 3, 4))
