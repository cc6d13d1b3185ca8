"""The config's joins and derived columns as one SQL query over ``source`` and the joined tables."""

from __future__ import annotations

from interlock.config import Config, Join

KEY, TIME = "row_key", "row_time"
LABEL_TYPES = {"binary": "TINYINT", "multiclass": "VARCHAR", "regression": "DOUBLE"}


def features_query(config: Config, *, with_label: bool = True) -> str:
    """One row per source row: key, time, label, slices, numbers (FLOAT), categories (text, '' where missing).

    Names are quoted; expressions are the config's own and run without access to files or network.
    """
    joined = "".join(_join(join) for join in config.source.join)
    added = "".join(f", {_quote(join.name)}.{_quote(c)}" for join in config.source.join for c in join.columns)
    derived = "".join(f", ({sql}) AS {_quote(name)}" for name, sql in config.features.derived.items())
    key = ", ".join(f"CAST({_quote(name)} AS VARCHAR)" for name in config.source.key)
    columns = [f"concat_ws('|', {key}) AS {KEY}", f"{_quote(config.source.time)} AS {TIME}"]
    if with_label:
        columns.append(f"CAST(({config.label.sql}) AS {LABEL_TYPES[config.task]}) AS {_quote(config.label.name)}")
    columns += [f"CAST({_quote(name)} AS FLOAT) AS {_quote(name)}" for name in config.features.numbers]
    texts = config.features.categories + [name for name in config.slices if name not in config.features.names]
    columns += [f"COALESCE(CAST({_quote(name)} AS VARCHAR), '') AS {_quote(name)}" for name in texts]
    return (
        f"WITH joined AS (SELECT source.*{added} FROM source{joined}), "
        f"derived AS (SELECT *{derived} FROM joined) "
        f"SELECT {', '.join(columns)} FROM derived ORDER BY {TIME}, {KEY}"
    )


def _join(join: Join) -> str:
    name = _quote(join.name)
    on = " AND ".join(f"source.{_quote(key)} = {name}.{_quote(key)}" for key in join.by)
    return f" LEFT JOIN {name} ON {on}"


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
