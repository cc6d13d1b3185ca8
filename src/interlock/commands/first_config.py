"""The text of a first config file: what a look at the table showed, with the judgements left to a person marked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import yaml

from interlock.config import Csv
from interlock.contracts import Task
from interlock.errors import InputError
from interlock.ingestion.first_look import MOST_VALUES, Look, gives_away, key_of, label_values

POSITIVE = ("yes", "true", "y", "t", "1")
TEST, VALIDATION = 0.2, 0.1


class Roles(msgspec.Struct, frozen=True, kw_only=True):
    """What each column is taken for. ``left``: column -> why it is no feature."""

    label: str
    time: str
    key: list[str]
    numbers: list[str]
    categories: list[str]
    left: dict[str, str]


def first_config(look: Look, *, table: str, label: str, time: str = "", key: str = "", task: Task | None = None) -> str:
    """The config file as text. ``label``, ``time`` and ``key`` are names in the table; '' takes what looks like one."""
    roles = _roles(look, *(_column(look, name) for name in (label, time, key)))
    values = label_values(look.rows[roles.label])
    if len(values) < 2:
        raise InputError(
            f"--label {label}: {len(values)} different values in the first rows; a label needs two or more"
        )
    kind = task or _task(look.rows[roles.label], values)
    parts = [
        f"# Read off {table}. Lines marked TODO are judgements no table can make. All keys: docs/reference/config.md",
        f"name: {_slug(table)}",
        f"task: {kind}\n",
        *_source(look, roles, table),
        *_label(roles.label, look.rows[roles.label], values, kind),
        *_features(look, roles),
        *_validation(len(look.rows)),
        *_judgement(look.rows, roles, kind),
    ]
    return "\n".join(parts) + "\n"


def _column(look: Look, name: str) -> str:
    """The config's name of a column; its name in the table is as good."""
    named = {old: new for new, old in look.source.rename.items()}
    plain = named.get(name, name)
    if plain and plain not in look.rows:
        there = ", ".join(look.source.rename.get(str(each), str(each)) for each in look.rows)
        raise InputError(f"{name!r} is not a column; there are {there[:400]}")
    return plain


def _roles(look: Look, label: str, time: str, key: str) -> Roles:
    rows = look.rows
    times = [str(name) for name in rows if pd.api.types.is_datetime64_any_dtype(rows[name])]
    time = time or next((name for name in times if not rows[name].isna().any()), "")
    others = [str(name) for name in rows if name not in (label, time)]
    keys = [key] if key else key_of(rows, time, others)
    left: dict[str, str] = {}
    numbers, categories = [], []
    for name in others:
        values, row = rows[name], f"{name}_number"
        different = values.nunique()
        if name in keys and not (len(keys) > 1 and isinstance(values.dtype, pd.StringDtype)):
            continue
        if name in times:
            left[name] = "a time; derive what matters, for instance hour(...)"
        elif row in look.derived:
            numbers.append(row)
        elif different < 2:
            left[name] = "one value"
        elif gives_away(values, rows[label]):
            left[name] = "orders the rows as the label does: is it known when the model is asked?"
        elif pd.api.types.is_numeric_dtype(values):
            numbers.append(name)
        elif different <= MOST_VALUES:
            categories.append(name)
        else:
            left[name] = f"text with {different} different values"
    return Roles(
        label=label, time=time or "row", key=keys or ["row"], numbers=numbers, categories=categories, left=left
    )


def _task(label: pd.Series, values: list[object]) -> Task:
    if len(values) == 2:
        return "binary"
    text = isinstance(label.dtype, pd.StringDtype)
    whole = pd.api.types.is_integer_dtype(label) and len(values) <= 20
    if text and len(values) > MOST_VALUES:
        raise InputError(f"the label is text with {len(values)} values: map it to a few, or to a number, in label.sql")
    return "multiclass" if text or whole else "regression"


def _source(look: Look, roles: Roles, table: str) -> list[str]:
    lines = ["source:", f"  table: {_flow(table)}", f"  time: {roles.time}", f"  key: {_flow(roles.key)}"]
    if "row" in (roles.time, *roles.key) and "row" not in look.rows:
        why = "the table has no time: rows are split in an order that has nothing to do with the file's"
        why = why if roles.time == "row" else "no column identifies a row, so each gets a number"
        lines += [f"  row: row   # {why}"]
    if look.source.rename:
        lines += ["  rename:", *(f"    {new}: {_flow(old)}" for new, old in look.source.rename.items())]
    csv, plain = look.source.csv, Csv()
    said = {each: getattr(csv, each) for each in ("nulls", "times", "decimal")}
    said = {each: value for each, value in said.items() if value != getattr(plain, each)}
    return [*lines, *([f"  csv: {_flow(said)}"] if said else []), ""]


def _label(name: str, label: pd.Series, values: list[object], task: Task) -> list[str]:
    column = f'"{name}"'
    lines = ["label:", f"  name: {'label' if name != 'label' else 'target'}"]
    if task == "multiclass":
        lines += [f"  sql: {_flow(f'CAST({column} AS VARCHAR)')}", f"  classes: {_flow([str(v) for v in values])}"]
    elif task == "regression":
        lines += [f"  sql: {_flow(column)}"]
    else:
        rarer = min(values, key=lambda value: int((label == value).sum()))
        one = next((value for value in values if str(value).lower() in POSITIVE), rarer)
        literal = f"'{str(one).replace(chr(39), chr(39) * 2)}'" if isinstance(one, str) else str(one).lower()
        lines += [f"  sql: {_flow(f'{column} = {literal}')}"]
    return [*lines, ""]


def _features(look: Look, roles: Roles) -> list[str]:
    lines = ["features:   # TODO: only what is known at the moment the model is asked"]
    lines += [f"  numbers: {_flow(roles.numbers)}", f"  categories: {_flow(roles.categories)}"]
    if look.derived:
        lines += ["  derived:", *(f"    {name}: {_flow(sql)}" for name, sql in look.derived.items())]
    return [*lines, *(f"  # left out: {name}: {why}" for name, why in roles.left.items()), ""]


def _validation(rows: int) -> list[str]:
    return [
        f"split: {{validation: {VALIDATION}, test: {TEST}}}",
        f"validation: {{schema: schema.pbtxt, minimum_rows: {max(1, min(1000, rows // 2))}}}\n",
    ]


def _judgement(rows: pd.DataFrame, roles: Roles, task: Task) -> list[str]:
    label = rows[roles.label].dropna()
    least = max(10, min(200, int(len(rows) * TEST * 0.8)))
    few = f", minimum_rows: {least}" if least < 200 else ""
    if task == "binary":
        cost = [
            "# TODO: what a decision costs: acting on a 0, missing a 1.",
            "cost: {false_positive: 1, false_negative: 4}\n",
        ]
        rule, paired = "metric: auc, at_least: 0.6", "cost"
        business = "{name: cost_per_request, value: cost, role: business, cap: 4}   # cap: the highest cost"
    elif task == "multiclass":
        cost, paired = [], "accuracy"
        rule = f"metric: accuracy, at_least: {label.value_counts(normalize=True).iloc[0]:.2f}"
        business = "{name: accepted, value: conversion, role: business}   # outcome: 1 for a good answer"
    else:
        cost, paired = [], "mae"
        rule = f"metric: mae, at_most: {float((label - label.median()).abs().mean()):.4g}"
        business = "{name: value_per_request, value: amount, role: business, cap: 100}   # column amount of outcomes"
    what = {"binary": "chance is 0.5", "multiclass": "what always naming the largest class gives"}
    return [
        *cost,
        "gates:   # TODO: limits below which you would not ship",
        "  metrics:",
        f"    - {{{rule}{few}}}   # {what.get(task, 'what always naming the median gives')}",
        f"  regression: [{{metric: {paired}, within: 0.1{few}}}]   # than the version in production",
        "  latency_p99_ms: 100",
        "  size_megabytes: 50\n",
        "metrics:   # TODO: what a version is judged by in production",
        f"  - {business}",
        "  - {name: error_rate, value: error, role: guardrail}",
        "strategy:",
        "  attribution_seconds: 60   # TODO: how long an outcome takes to arrive; 259200 is three days",
        "  check_seconds: 10",
        "  steps:   # `interlock plan` says how much traffic they need",
        "    - {weight: 10, margin: 0.5, minimum_requests: 1000, deadline_seconds: 3600}",
        "    - {weight: 50, margin: 0.3, minimum_requests: 1000, deadline_seconds: 3600}",
        "post_deploy: {minimum_requests: 1000, deadline_seconds: 3600}",
    ]


def _slug(table: str) -> str:
    stem = Path(table.rstrip("/")).name.partition(".")[0].lower()
    plain = "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in stem).split())
    return (plain if plain[:1].isalpha() else f"model-{plain}").strip("-")[:41]


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
