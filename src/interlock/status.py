"""What stands where: versions, aliases and traffic, read from registry and endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from interlock.config import load_config
from interlock.contracts import Place
from interlock.vertex.endpoint import VertexEndpoint, endpoint_names
from interlock.vertex.registry import VertexModelRegistry

Row = dict[str, Any]


def read_status(place: Place, config: Path | None) -> list[Row]:
    """One row per version of the config's model, or of every model that has an endpoint."""
    names = [load_config(config).name] if config else endpoint_names(place)
    return [row for name in names for row in _model_rows(place, name)]


def _model_rows(place: Place, name: str) -> list[Row]:
    state = VertexEndpoint(place, name).find()
    traffic = {state.versions[id_]: percent for id_, percent in state.traffic.items()} if state else {}
    return [
        {
            "model": name,
            "version": version.version,
            "aliases": [alias for alias in version.aliases if alias != "default"],
            "deployed": version.version in traffic,
            "traffic": traffic.get(version.version, 0),
            "trained": version.description,
        }
        for version in VertexModelRegistry(place, name).versions()
    ]


def status_table(rows: list[Row]) -> Table:
    """The rows for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("model", "version", "aliases", "traffic", "trained"):
        table.add_column(name, justify="right" if name == "traffic" else "left")
    for row in rows:
        share = f"{row['traffic']} %" if row["deployed"] else "not deployed"
        table.add_row(row["model"], row["version"], " ".join(row["aliases"]) or "-", share, row["trained"])
    return table
