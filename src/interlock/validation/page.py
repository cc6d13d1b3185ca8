"""All features of both spans on one self-contained HTML page: no script, nothing loaded from elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from html import escape
from typing import Any

from interlock.contracts import DataVerdict
from interlock.validation.rules import present

WIDTH, HEIGHT, MOST_VALUES = 320, 80, 12
STYLE = """body{font:14px system-ui,sans-serif;margin:2rem auto;max-width:72rem;color:#1b2733;padding:0 1rem}
h1{font-size:1.4rem}table{border-collapse:collapse;width:100%}td,th{padding:.35rem .6rem;text-align:left;
vertical-align:top;border-bottom:1px solid #d9e0e6}.num{text-align:right;font-variant-numeric:tabular-nums}
.block{color:#a4161a;font-weight:600}.warn{color:#7a5b00}.ok{color:#1a6b3c}.now{fill:#2f6fab;color:#2f6fab}
.was{fill:#c98a2b;color:#c98a2b}
small{color:#5b6b79}svg{display:block}"""


def render_page(
    title: str, verdict: DataVerdict, statistics: Any, reference: Any = None, *, times: Collection[str] = ()
) -> str:
    """The page as text. ``reference``: statistics of the span drawn beside, None for none. ``times``: its columns."""
    now = statistics.datasets[0]
    was = {each.path.step[0]: each for each in reference.datasets[0].features} if reference is not None else {}
    state = '<span class="ok">passed</span>' if verdict.passed else '<span class="block">blocked</span>'
    drift = {each.feature: each for each in verdict.drift}
    rows = "".join(
        _feature(each, was.get(each.path.step[0]), int(now.num_examples), drift.get(each.path.step[0]), times)
        for each in sorted(now.features, key=lambda feature: str(feature.path.step[0]))
    )
    compared = f", reference {int(reference.datasets[0].num_examples):,} rows" if reference is not None else ""
    legend = '<small><b class="now">&#9632;</b> this span, <b class="was">&#9632;</b> reference</small>' if was else ""
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}: {state}</h1>"
        f"<p>{verdict.rows:,} rows, {verdict.features} columns{compared}</p>{_anomalies(verdict)}{legend}"
        "<table><thead><tr><th>column</th><th class=num>missing</th><th class=num>distinct / mean</th>"
        "<th class=num>min</th><th class=num>max</th><th>this span</th><th>reference</th><th>drift, bits</th></tr>"
        f"</thead><tbody>{rows}</tbody></table></body></html>\n"
    )


def _anomalies(verdict: DataVerdict) -> str:
    if not verdict.anomalies:
        return '<p class="ok">No anomaly.</p>'
    rows = []
    for each in verdict.anomalies:
        kind = "block" if each.blocking else "warn"
        note = f"<br><small>waived: {escape(each.waiver)}</small>" if each.waiver else ""
        shown = "".join(
            f"<br><small>{escape(', '.join(f'{k}={v}' for k, v in row.items()))}</small>" for row in each.rows
        )
        rows.append(
            f'<tr><td class="{kind}">{kind}</td><td>{escape(each.feature or "table")}</td><td>{escape(each.rule)}</td>'
            f"<td>{escape(each.value)}</td><td>{escape(each.limit)}</td><td>{escape(each.reason)}{note}{shown}</td></tr>"
        )
    head = "<tr><th></th><th>column</th><th>rule</th><th>value</th><th>limit</th><th>reason and rows</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table><br>"


def _feature(feature: Any, before: Any, rows: int, drift: Any, times: Collection[str]) -> str:
    name = feature.path.step[0]
    share = (rows - present(feature)) / rows if rows else 0.0
    if feature.HasField("num_stats"):
        stats = feature.num_stats
        middle, low, high = f"{stats.mean:,.4g}", f"{stats.min:,.6g}", f"{stats.max:,.6g}"
        if name in times and present(feature):
            middle, low, high = (_moment(value) for value in (stats.mean, stats.min, stats.max))
    else:
        middle, low, high = f"{feature.string_stats.unique:,}", "", ""
    bits = f'<span class="{"block" if drift.alarm else "ok"}">{drift.divergence:.4f}</span>' if drift else ""
    bits += f"<br><small>limit {drift.limit:.4f}</small>" if drift else ""
    span = _span([each for each in (feature, before) if each is not None])
    labels = [b.label for b in (before or feature).string_stats.rank_histogram.buckets[:MOST_VALUES]]
    pictures = f"<td>{_picture(feature, span, labels, 'now')}</td><td>{_picture(before, span, labels, 'was')}</td>"
    return (
        f"<tr><td>{escape(name)}</td><td class=num>{share:.2%}</td><td class=num>{middle}</td>"
        f"<td class=num>{low}</td><td class=num>{high}</td>{pictures}<td>{bits}</td></tr>"
    )


def _span(features: Sequence[Any]) -> tuple[float, float]:
    ends = [(each.num_stats.min, each.num_stats.max) for each in features if each.HasField("num_stats")]
    return (min((low for low, _ in ends), default=0.0), max((high for _, high in ends), default=1.0))


def _moment(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M")


def _picture(feature: Any, span: tuple[float, float], labels: Sequence[str], colour: str) -> str:
    if feature is None:
        return ""
    if feature.HasField("num_stats"):
        buckets = feature.num_stats.histograms[0].buckets if feature.num_stats.histograms else []
        width = (span[1] - span[0]) or 1.0
        bars = [
            ((b.low_value - span[0]) / width, (b.high_value - span[0]) / width, b.sample_count, "") for b in buckets
        ]
    else:
        # Both spans in the order of the reference, so that a bar and its neighbour are the same value.
        counts = {b.label: b.sample_count for b in feature.string_stats.rank_histogram.buckets}
        bars = [
            (i / MOST_VALUES, (i + 0.85) / MOST_VALUES, counts.get(label, 0.0), label[:40])
            for i, label in enumerate(labels)
        ]
    most = max((count for *_, count, _ in bars), default=0) or 1
    drawn = "".join(
        f'<rect class="{colour}" x="{left * WIDTH:.1f}" y="{HEIGHT * (1 - count / most):.1f}" '
        f'width="{max((right - left) * WIDTH - 1, 1):.1f}" height="{HEIGHT * count / most:.1f}">'
        f"<title>{escape(label)} {count:,.0f}</title></rect>"
        for left, right, count, label in bars
        if all(abs(end) < 1e6 for end in (left, right))
    )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH // 2}" height="{HEIGHT // 2}" role="img">{drawn}</svg>'
