"""All features of both spans on one self-contained HTML page: no script, nothing loaded from elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any

from interlock.contracts import DataVerdict
from interlock.validation.rules import present

WIDTH, HEIGHT, MOST_VALUES = 320, 80, 12
# The colours of the reports, which this page stands beside.
STYLE = """:root{color-scheme:light dark;--paper:#fff;--ink:#1b1e23;--muted:#5b626d;--rule:#d9dde3;--harm:#b5390a;
--open:#7a5b00;--sound:#00755a;--now:#0b62a4;--was:#b0741b}
@media(prefers-color-scheme:dark){:root{--paper:#14161a;--ink:#e7e9ec;--muted:#a2a9b4;--rule:#363b44;--harm:#ff8a5c;
--open:#d8b45a;--sound:#3cc79d;--now:#63b3f0;--was:#d9a35a}}
body{font:14px system-ui,sans-serif;margin:0;background:var(--paper);color:var(--ink)}
main{max-width:72rem;margin:auto;padding:1.5rem 1rem;overflow-x:auto}
h1{font-size:1.4rem}table{border-collapse:collapse;width:100%}td,th{padding:.35rem .6rem;text-align:left;
vertical-align:top;border-bottom:1px solid var(--rule)}.num{text-align:right;font-variant-numeric:tabular-nums}
.block{color:var(--harm);font-weight:600}.warn{color:var(--open)}.ok{color:var(--sound)}
.now{fill:var(--now);color:var(--now)}.was{fill:var(--was);color:var(--was)}
small{color:var(--muted)}svg{display:block}"""


def render_page(
    title: str, verdict: DataVerdict, statistics: Any, reference: Any = None, *, times: Collection[str] = ()
) -> str:
    """The page as text. ``reference``: statistics of the span drawn beside, None for none. ``times``: its columns."""
    now = statistics.datasets[0]
    was = {each.path.step[0]: each for each in reference.datasets[0].features} if reference is not None else {}
    state = '<span class="ok">passed</span>' if verdict.passed else '<span class="block">blocked</span>'
    drift = {each.feature: each for each in verdict.drift}
    rows = "".join(
        _feature(each, was, int(now.num_examples), drift.get(each.path.step[0]), times)
        for each in sorted(now.features, key=lambda feature: str(feature.path.step[0]))
    )
    beside = "<th>reference</th><th>drift, bits</th>" if was else ""
    compared = f", reference {int(reference.datasets[0].num_examples):,} rows" if reference is not None else ""
    legend = '<small><b class="now">&#9632;</b> this span, <b class="was">&#9632;</b> reference</small>' if was else ""
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main><h1>{escape(title)}: {state}</h1>"
        f"<p>{verdict.rows:,} rows, {verdict.features} columns{compared}</p>"
        f"{_anomalies(verdict)}{_skew(verdict)}{legend}"
        "<table><thead><tr><th>column</th><th class=num>missing</th><th class=num>distinct / mean</th>"
        f"<th class=num>min</th><th class=num>max</th><th>this span</th>{beside}</tr>"
        f"</thead><tbody>{rows}</tbody></table></main></body></html>\n"
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


def _skew(verdict: DataVerdict) -> str:
    rows = "".join(
        f"<tr><td>{escape(each.feature)}</td><td class={'block' if each.alarm else 'ok'}>{each.divergence:.4f}</td>"
        f"<td class=num>{each.limit:.4f}</td></tr>"
        for each in verdict.skew
    )
    head = "<tr><th>served rows against the table</th><th>skew, bits</th><th class=num>limit</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table><br>" if rows else ""


def _feature(feature: Any, was: Mapping[str, Any], rows: int, drift: Any, times: Collection[str]) -> str:
    name = feature.path.step[0]
    before = was.get(name)
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
    pictures = f"<td>{_picture(feature, span, labels, 'now')}</td>"
    if was:
        pictures += f"<td>{_picture(before, span, labels, 'was')}</td><td>{bits}</td>"
    return (
        f"<tr><td>{escape(name)}</td><td class=num>{share:.2%}</td><td class=num>{middle}</td>"
        f"<td class=num>{low}</td><td class=num>{high}</td>{pictures}</tr>"
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
