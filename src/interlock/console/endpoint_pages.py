"""Endpoints: traffic, rates, latency and the business metric of each version, as requests arrive."""

from __future__ import annotations

import time

from interlock.console.drawing import Line, lines_picture, share_bar
from interlock.console.overview_pages import endpoint_card, rollouts_table, shares
from interlock.console.page import Page, Part, heading, link, nothing
from interlock.console.reading import NO_WAREHOUSE, Source, endpoint_config, known_rollouts, warehouse
from interlock.console.rollout_words import standing
from interlock.console.serving import WINDOW_SECONDS, Traffic, newest_traffic
from interlock.errors import InputError
from interlock.report import wording
from interlock.report.markup import Html, element, join, table
from interlock.vertex.endpoint import VertexEndpoint, endpoint_names


def endpoints_page(source: Source) -> Page:
    """All endpoints."""
    place = source.place()
    names = endpoint_names(place)
    cards = element("div", join(endpoint_card(place, name) for name in names), class_="cards")
    body = cards if names else nothing("No endpoint yet.")
    return Page(title="Endpoints", parts=[Part("title", heading("Endpoints")), Part("endpoints", body)])


def endpoint_page(source: Source, name: str) -> Page:
    """One endpoint."""
    place = source.place()
    state = VertexEndpoint(place, name).find()
    if state is None:
        raise InputError(f"there is no endpoint {name}: the list of endpoints has those there are")
    split = shares(state)
    by_version = {version: id_ for id_, version in state.versions.items()}
    deployed = {by_version[version]: version for version, _, _ in split}
    told, now = known_rollouts(place, [name]), time.time()
    under_way = [one for one in told or [] if not one.is_over]
    numbers = [Part("versions", nothing(NO_WAREHOUSE))]
    if place.warehouse:
        config = endpoint_config(place, name, split[0][0]) if split else None
        traffic = newest_traffic(warehouse(place), name, deployed, config, now=now)
        numbers = [
            Part("versions", _versions(name, traffic, {version: percent for version, percent, _ in split})),
            Part("lines", _lines(traffic, {version: style for version, _, style in split}, now)),
        ]
    parts = [
        Part("title", heading(name)),
        Part("standing", join(element("p", link(f"/rollouts/{one.id}", standing(one))) for one in under_way)),
        Part("split", share_bar(split)),
        *numbers,
        Part("rollouts", join([element("h2", "Rollouts"), rollouts_table(told)])),
    ]
    said = ", ".join(f"version {version} {percent} %" for version, percent, _ in split if percent) or "no traffic"
    return Page(title=name, parts=parts, trail=[("/endpoints", "Endpoints")], announcement=f"Traffic: {said}.")


def _versions(name: str, traffic: list[Traffic], percents: dict[str, int]) -> Html:
    if not traffic:
        return nothing("No version is deployed.")
    metric = next((one.business[0] for one in traffic if one.business), "")
    rows = [
        (
            link(f"/models/{name}/{one.version}", f"version {one.version}"),
            f"{percents[one.version]} %",
            f"{one.per_second:,.0f}",
            _milliseconds(one.latency_p50_ms),
            _milliseconds(one.latency_p99_ms),
            f"{one.failed_share:.2%}",
            _business(one),
        )
        for one in traffic
    ]
    head = ("Version", "Traffic", "Requests/s", "p50", "p99", "Failed", metric or "Business metric")
    return table(f"Deployed versions, last {WINDOW_SECONDS:.0f} seconds", head, rows, numbers=(1, 2, 3, 4, 5, 6))


def _milliseconds(value: float | None) -> str:
    return wording.NONE if value is None else f"{value:.1f} ms"


def _business(one: Traffic) -> Html:
    if one.business is None:
        return element("span", wording.NONE)
    _, mean, n = one.business
    return element("span", wording.number(mean), element("span", f"of {wording.count(n)}", class_="quiet sub"))


def _lines(traffic: list[Traffic], styles: dict[str, str], now: float) -> Html:
    if not any(one.seconds for one in traffic):
        return nothing(f"No request in the last {WINDOW_SECONDS:.0f} seconds.")
    since = min(one.seconds[0].time for one in traffic if one.seconds) + 1
    until = max(int(now) - 1, since + 1)
    rates, latencies = [], []
    for one in traffic:
        whole = [second for second in one.seconds if since <= second.time <= until]
        known, style = {second.time: second for second in whole}, styles[one.version]
        # A second without a request is a rate of nothing, and has no latency.
        rate = [(float(t), float(known[t].requests) if t in known else 0.0) for t in range(since, until + 1)]
        latency = [(float(second.time), second.latency_ms) for second in whole]
        rates.append(Line(name=f"version {one.version}", style=style, points=rate))
        latencies.append(Line(name=f"version {one.version}", style=style, points=latency))
    return element(
        "div",
        lines_picture("Requests", "per second", rates, since, until),
        lines_picture("Mean latency", "ms", latencies, since, until),
        class_="pair even",
    )
