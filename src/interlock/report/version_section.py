"""One version on the page: what the data and the gates said, how good it is and for whom, where it comes from."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.report import wording
from interlock.report.data_section import anomaly_count, data_section
from interlock.report.evaluation_section import evaluation_section, metric_title, overall, primary
from interlock.report.gates_section import gates, passed_of
from interlock.report.markup import BREAK, Content, Html, element, facts, join, mark, table
from interlock.report.provenance_section import provenance
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
        element(f"h{level + 1}", "Data"),
        data_section(version.verdict),
        element(f"h{level + 1}", "Gates"),
        gates(version),
        element(f"h{level + 1}", "Evaluation"),
        evaluation_section(version, name),
        element(f"h{level + 1}", "Provenance"),
        provenance(version),
    ]
    return element("section", *parts, id=name)


def versions_table(versions: Sequence[VersionReport]) -> Html:
    """One row per version: what a reader compares first."""
    metrics = {first.metric for v in versions if (first := primary(v.evaluation))}
    quality = metrics.pop() if len(metrics) == 1 else "Quality"
    head = ["Version", "Aliases", "Data", "Rows", f"{metric_title(quality)} (95 %)", "Cost", "Gates", "p99", "Size"]
    return table("Versions of this run", head, [_version_row(v) for v in versions], numbers=(3, 4, 5, 7, 8))


def _version_row(version: VersionReport) -> Sequence[Content]:
    evaluation = version.evaluation
    first, cost = primary(evaluation), overall(evaluation, "cost")
    aliases = join((element("span", alias, class_="chip") for alias in version.aliases), " ")
    label = element("strong", version.version or wording.NONE)
    interval = element("span", wording.interval(first.low, first.high), class_="quiet") if first else ""
    return (
        element("span", label, " ", element("span", version.title, class_="quiet")),
        aliases if version.aliases else wording.NONE,
        element("span", join(version.window, str(BREAK)), class_="nowrap"),
        wording.count(sum(version.manifest.rows.values())),
        element("span", wording.number(first.value), BREAK, interval) if first else wording.NONE,
        wording.number(cost.value) if cost else wording.NONE,
        passed_of(version.gates.rules, version.gates.passed),
        f"{evaluation.latency_p99_ms:.2f} ms",
        wording.megabytes(evaluation.size_bytes),
    )


def _summary(version: VersionReport) -> Html:
    verdict, evaluation = version.verdict, version.evaluation
    champion = f"version {evaluation.champion}" if evaluation.champion else "none yet"
    latency = f"p50 {evaluation.latency_p50_ms:.2f} ms, p99 {evaluation.latency_p99_ms:.2f} ms"
    if evaluation.champion_latency_p99_ms is not None:
        latency += f" (champion {evaluation.champion_latency_p99_ms:.2f} ms)"
    latency += f", {wording.plural(evaluation.latency_requests, 'request')}"
    rows = ", ".join(f"{wording.count(n)} {part}" for part, n in version.manifest.rows.items())
    word = mark("good", "passed") if verdict.passed else mark("bad", "failed")
    return facts(
        [
            ("Trained on", f"{wording.window(version.window)}: {rows}"),
            ("Data verdict", join([word, anomaly_count(verdict)], " ")),
            ("Champion then", champion),
            ("Model server", latency),
        ]
    )


def versions_section(versions: Sequence[VersionReport]) -> Html:
    """All versions in order."""
    return join(version_section(version, f"version-{i}") for i, version in enumerate(versions, start=1))
