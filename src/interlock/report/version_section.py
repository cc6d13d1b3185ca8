"""One version on the page: what the gates said, how good it is and for whom, where it comes from."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.config import LOWER_IS_BETTER
from interlock.contracts import Comparison, DataVerdict, Evaluation, Measure
from interlock.report import wording
from interlock.report.evaluation_pictures import SHOWN, roc_picture, slice_measures, slices_picture
from interlock.report.gates_section import gates, passed_of
from interlock.report.markup import (
    BREAK,
    Content,
    Html,
    code,
    details,
    element,
    facts,
    figure,
    join,
    mark,
    table,
)
from interlock.report.run import VersionReport


def version_section(version: VersionReport, name: str, level: int = 3) -> Html:
    """``name`` is the id of the section and the beginning of every id in it."""
    passed = version.gates.passed
    title = wording.capital(version.name)
    if version.version:
        title += f": {version.title}"
    badge = mark("good", "gates passed") if passed else mark("bad", "kept out by the gates")
    parts = [
        element(f"h{level}", title, " ", badge),
        _summary(version),
        element(f"h{level + 1}", "Gates"),
        gates(version),
        element(f"h{level + 1}", "Evaluation"),
        _comparison(version.evaluation),
        _pictures(version, name),
        details("Every measure, on every slice", _measure_table(version.evaluation.measures)),
        element(f"h{level + 1}", "Provenance"),
        _provenance(version),
    ]
    return element("section", *parts, id=name)


def versions_table(versions: Sequence[VersionReport]) -> Html:
    """One row per version: what a reader compares first."""
    head = ("Version", "Aliases", "Data", "Rows", "AUC (95 %)", "Cost", "Gates", "p99", "Size")
    return table("Versions of this run", head, [_version_row(v) for v in versions], numbers=(3, 4, 5, 7, 8))


def overall(evaluation: Evaluation, metric: str) -> Measure | None:
    """The measure on all rows, None where the evaluation does not have it."""
    return next((m for m in evaluation.measures if m.metric == metric and not m.slice), None)


def _version_row(version: VersionReport) -> Sequence[Content]:
    evaluation = version.evaluation
    auc, cost = overall(evaluation, "auc"), overall(evaluation, "cost")
    aliases = join((element("span", alias, class_="chip") for alias in version.aliases), " ")
    label = element("strong", version.version or wording.NONE)
    return (
        element("span", label, " ", element("span", version.title, class_="quiet")),
        aliases if version.aliases else wording.NONE,
        _lines(version.window),
        wording.count(sum(version.manifest.rows.values())),
        element("span", wording.number(auc.value), BREAK, _range(auc)) if auc else wording.NONE,
        wording.number(cost.value) if cost else wording.NONE,
        passed_of(version.gates.rules, version.gates.passed),
        f"{evaluation.latency_p99_ms:.2f} ms",
        wording.megabytes(evaluation.size_bytes),
    )


def _lines(parts: Sequence[str]) -> Html:
    return element("span", join(parts, str(BREAK)), class_="nowrap")


def _range(measure: Measure) -> Html:
    return element("span", wording.interval(measure.low, measure.high), class_="quiet")


def _summary(version: VersionReport) -> Html:
    verdict, evaluation = version.verdict, version.evaluation
    data = f"{wording.count(verdict.rows)} rows, {wording.plural(verdict.features, 'feature')}, "
    data += _anomaly_count(verdict)
    champion = f"version {evaluation.champion}" if evaluation.champion else "none yet"
    latency = f"p50 {evaluation.latency_p50_ms:.2f} ms, p99 {evaluation.latency_p99_ms:.2f} ms, "
    latency += wording.plural(evaluation.latency_requests, "request")
    rows = ", ".join(f"{wording.count(n)} {part}" for part, n in version.manifest.rows.items())
    return join(
        [
            facts(
                [
                    ("Trained on", f"{wording.window(version.window)}: {rows}"),
                    ("Data verdict", element("span", _word(verdict.passed), " ", data)),
                    ("Champion then", champion),
                    (
                        "Model server",
                        latency,
                    ),
                ]
            ),
            *([_anomalies(version)] if verdict.anomalies else []),
        ]
    )


def _anomaly_count(verdict: DataVerdict) -> str:
    if not verdict.anomalies:
        return "no anomaly"
    blocking, every = sum(anomaly.blocking for anomaly in verdict.anomalies), len(verdict.anomalies)
    found = "1 anomaly" if every == 1 else f"{every} anomalies"
    return f"{found}, {blocking or 'none'} blocking"


def _word(passed: bool) -> Html:
    return mark("good", "passed") if passed else mark("bad", "failed")


def _anomalies(version: VersionReport) -> Html:
    rows = [
        (a.feature or "table", a.rule, a.value, a.limit, "yes" if a.blocking else "no", a.reason)
        for a in version.verdict.anomalies
    ]
    return table("Anomalies", ("Feature", "Rule", "Value", "Limit", "Blocks", "Reason"), rows)


# --- evaluation ----------------------------------------------------------------------------------------


def _comparison(evaluation: Evaluation) -> Html:
    if not evaluation.comparisons:
        return element("p", "First version: no champion to compare with.")
    rows = [
        (
            comparison.metric,
            wording.number(comparison.candidate),
            wording.number(comparison.champion),
            wording.signed(comparison.difference),
            _signed_interval(comparison),
            _tendency(comparison),
        )
        for comparison in evaluation.comparisons
    ]
    caption = f"Against version {evaluation.champion}, on the same {wording.count(evaluation.rows)} rows"
    head = ("Metric", "Candidate", "Champion", "Difference", "95 % interval", "Reading")
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
    better = (comparison.high < 0) == (comparison.metric in LOWER_IS_BETTER)
    return mark("good", "better") if better else mark("bad", "worse")


def _pictures(version: VersionReport, name: str) -> Html:
    evaluation = version.evaluation
    known = len(slice_measures(evaluation))
    pictures = []
    if known:
        more = f" The {SHOWN} lowest of {known} are shown." if known > SHOWN else ""
        caption = (
            "AUC by slice with 95 % intervals. The upright tick is the gate's limit, which the left end must "
            f"reach; a hollow dot has too few rows to be judged.{more}"
        )
        pictures.append(figure(slices_picture(evaluation, version.gates, f"{name}-slices"), caption))
    roc = figure(
        roc_picture(evaluation, f"{name}-roc"),
        "ROC curve on the test rows. The dot is the model's threshold, the dotted line is chance.",
    )
    pictures.append(element("div", roc, _confusion(evaluation), class_="pair"))
    return join(pictures)


def _confusion(evaluation: Evaluation) -> Html:
    total = sum(sum(row) for row in evaluation.confusion) or 1
    rows = [
        (
            f"actually {label}",
            *(_cell(value, total, good=label == predicted) for predicted, value in enumerate(row)),
        )
        for label, row in enumerate(evaluation.confusion)
    ]
    caption = f"Confusion at threshold {evaluation.threshold:.3g}, {wording.plural(evaluation.rows, 'row')}"
    return table(caption, ("", "predicted 0", "predicted 1"), rows, numbers=(1, 2))


def _cell(value: int, total: int, *, good: bool) -> Html:
    share = element("span", f"{value / total:.1%} {'right' if good else 'wrong'}", class_="quiet")
    return element("span", wording.count(value), BREAK, share)


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


# --- provenance ----------------------------------------------------------------------------------------


def _provenance(version: VersionReport) -> Html:
    manifest = version.manifest
    digests = {
        "Model": manifest.model_sha256,
        "Signature": manifest.signature_sha256,
        "Features": manifest.features_sha256,
        "Table": manifest.table_sha256,
        "Data schema": version.verdict.schema_sha256,
        "Test rows": version.evaluation.test_sha256,
        "Config": manifest.config_sha256,
        "Lock file": manifest.lock_sha256,
        "Git revision": manifest.git_revision,
        "Image": manifest.image,
    }
    pairs: list[tuple[str, Content]] = [(k, code(v) if v else "not recorded") for k, v in digests.items()]
    pairs.append(("Seed", str(manifest.seed)))
    pairs.append(("Exported against trained model, largest difference", f"{manifest.parity_max_difference:.2g}"))
    libraries = table("Libraries", ("Library", "Version"), sorted(manifest.libraries.items()))
    config = element("pre", manifest.config, tabindex="0")
    return join([facts(pairs), details("Libraries", libraries), details("Config", config)])


def versions_section(versions: Sequence[VersionReport]) -> Html:
    """All versions in order."""
    return join(version_section(version, f"version-{i}") for i, version in enumerate(versions, start=1))
