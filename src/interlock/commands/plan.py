"""``interlock plan``: the rollout plan of a config, simulated before anything ships."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from interlock.config import Config, Metric, load_config
from interlock.errors import InputError
from interlock.local import stack
from interlock.progress import Progress
from interlock.rollout.counts import Sample
from interlock.rollout.history import rollouts
from interlock.rollout.journal import Settled, Started
from interlock.rollout.measurement import measure
from interlock.rollout.plan import Plan, simulate
from interlock.warehouse import open_warehouse, request_response_log

HISTORY_ROWS = 20_000
DECLARED_N = 1_000_000


def run(
    config: Path,
    state: Path,
    *,
    rates: Sequence[str],
    requests_per_second: float | None,
    runs: int,
    as_json: bool,
    console: Console,
) -> None:
    """Simulate and print. With ``rates`` (NAME=VALUE) nothing need run; without, the warehouse has the history."""
    parsed = load_config(config)
    if rates:
        history, source = declared(parsed, rates), "declared rates"
        if requests_per_second is None:
            raise InputError("declared rates need the traffic too: give --requests-per-second")
    else:
        engine = open_warehouse(stack.require_place(state).warehouse)
        history, seen = recent(engine, parsed)
        requests_per_second, source = requests_per_second or seen, "the latest requests to the version in production"
    with Progress(sys.stderr) as say:
        plan = simulate(
            parsed.strategy, parsed.metrics, history, requests_per_second=requests_per_second, runs=runs, say=say
        )
    if as_json:
        sys.stdout.write(msgspec.json.encode(plan).decode() + "\n")
        return
    _print(plan, source, parsed.strategy.alpha, console)


def declared(config: Config, rates: Sequence[str]) -> dict[str, Sample]:
    """Samples from NAME=VALUE: a rate, as a person says it (conversion: of the good ones); a mean cost, made in equal
    parts of the two mistakes; or a mean amount, made of 0 and the cap, which is the hardest case.
    """
    values: dict[str, float] = {}
    for text in rates:
        name, _, value = text.partition("=")
        try:
            values[name] = float(value)
        except ValueError as error:
            raise InputError(f"--rate {text}: not NAME=NUMBER, for instance error_rate=0.001") from error
    unknown = sorted(set(values) - {metric.name for metric in config.metrics})
    missing = [metric.name for metric in config.metrics if metric.name not in values]
    if unknown or missing:
        what = f"{', '.join(unknown)} is no metric" if unknown else f"{', '.join(missing)} is not declared"
        raise InputError(f"--rate: {what}; the config has {', '.join(m.name for m in config.metrics)}")
    return {metric.name: _declared(config, metric, values[metric.name]) for metric in config.metrics}


def _declared(config: Config, metric: Metric, value: float) -> Sample:
    if not metric.is_mean:
        if not 0 <= value <= 1:
            raise InputError(f"--rate {metric.name}={value:g}: a rate is between 0 and 1")
        bad = round((1 - value if metric.up else value) * DECLARED_N)
        return Sample(n=DECLARED_N, nonzero=bad, total=float(bad), squares=float(bad), levels={1.0: bad})
    prices = [price for price in (config.cost.false_positive, config.cost.false_negative) if price > 0]
    if metric.value == "amount" and metric.cap is not None:
        prices = [metric.cap]
    capped = [float(min(price, metric.cap or price)) for price in prices]
    levels: dict[float, int] = {}
    for price in capped:
        levels[price] = levels.get(price, 0) + round(value * DECLARED_N / len(capped) / price)
    if sum(levels.values()) > DECLARED_N:
        most = f"the cap {max(capped):g}" if metric.up else f"what the mistakes can cost ({max(capped):g} each)"
        raise InputError(f"--rate {metric.name}={value:g}: above {most}")
    return Sample(
        n=DECLARED_N,
        nonzero=sum(levels.values()),
        total=sum(price * count for price, count in levels.items()),
        squares=sum(price**2 * count for price, count in levels.items()),
        levels=levels,
    )


def recent(engine: sa.Engine, config: Config) -> tuple[dict[str, Sample], float]:
    """Counts of the version in production in its latest requests, and the endpoint's requests per second."""
    deployed = _in_production(engine, config.name)
    log = request_response_log.c
    rows = (
        sa.select(log.log_id, log.logging_time)
        .where(log.endpoint == config.name, log.deployed_model_id == deployed)
        .order_by(log.log_id.desc())
        .limit(HISTORY_ROWS)
        .subquery()
    )
    ends = sa.select(
        sa.func.min(rows.c.log_id).label("first"),
        sa.func.max(rows.c.log_id).label("last"),
        (sa.func.max(rows.c.logging_time) - sa.func.min(rows.c.logging_time)).label("seconds"),
        sa.func.count().label("n"),
    )
    with engine.connect() as connection:
        found = connection.execute(ends).mappings().one()
    if not found["n"] or not found["seconds"]:
        raise InputError(f"the warehouse has no traffic of {config.name}: give --rate and --requests-per-second")
    all_of_them = sa.select(sa.func.count()).where(
        log.endpoint == config.name, log.log_id >= found["first"], log.log_id <= found["last"]
    )
    with engine.connect() as connection:
        requests = connection.execute(all_of_them).scalar_one()
    if config.strategy.unit == "user":
        raise InputError("interlock plan draws single requests: with strategy.unit user it would promise too much")
    check = measure(
        engine,
        config.name,
        {deployed: "champion"},
        after=found["first"] - 1,
        until=found["last"],
        weight=0,
        metrics=config.metrics,
        cost=config.cost,
    )
    return check.champion.samples, requests / found["seconds"]


def _in_production(engine: sa.Engine, endpoint: str) -> str:
    """The deployed model id that the newest settled rollout left in production, '' without one."""
    deployed = ""
    for _, entries in rollouts(engine, endpoint):
        start = next(entry.event for entry in entries if isinstance(entry.event, Started))
        ids = {start.champion_version: start.champion_deployed, start.candidate_version: start.candidate_deployed}
        for entry in entries:
            if isinstance(entry.event, Settled):
                deployed = ids.get(entry.event.production, deployed)
    return deployed


def _print(plan: Plan, source: str, alpha: float, console: Console) -> None:
    console.print(f"{plan.runs} simulated rollouts per line, {plan.requests_per_second:.3g} requests/s, from {source}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("candidate")
    for name in ("rolled back", "promoted", "undecided", "candidate requests"):
        table.add_column(name, justify="right")
    for ended in plan.effects:
        shares = [f"{share:.0%}" for share in (ended.rolled_back, ended.promoted, ended.undecided)]
        table.add_row(f"{ended.effect:.0%} worse", *shares, f"{ended.exposed:,.0f}")
    console.print(table)
    console.print(
        f"a sound one: rolled back {plan.false_rollback:.1%} (alpha {alpha:g}), promoted {plan.promotes:.0%}, "
        f"after {plan.requests_to_promote:,.0f} requests, {plan.hours_to_promote:.2g} h"
    )
    console.print(f"worse by the last margin, yet promoted: {plan.false_promotion:.1%}")
    smallest = "none" if plan.smallest_detectable is None else f"{plan.smallest_detectable:.0%} worse"
    console.print(f"smallest effect rolled back in 80 % of rollouts: {smallest}")
    for warning in plan.warnings:
        console.print(f"[bold]warning[/] {warning}", highlight=False)
