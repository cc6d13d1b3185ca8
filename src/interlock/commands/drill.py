"""``interlock drill``: faults injected into candidates on an emulator, and whether each was rolled back."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from interlock.errors import GateFailed
from interlock.rehearsal.drill import FAULTS, Drill, drill


def run(*, faults: Sequence[str], per_second: int, as_json: bool, console: Console) -> None:
    """Run them and print; :class:`GateFailed` if one was not rolled back."""
    with tempfile.TemporaryDirectory(prefix="interlock-drill-") as folder:
        done = drill(Path(folder), list(faults) or FAULTS, per_second=per_second)
    if as_json:
        sys.stdout.write(msgspec.json.encode(done).decode() + "\n")
    else:
        console.print(drill_table(done))
    failed = [one.fault for one in done if not one.passed]
    if failed:
        raise GateFailed(f"drill: {', '.join(failed)} was not rolled back: do not ship with this plan")


def drill_table(done: Sequence[Drill]) -> Table:
    """The drills for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("fault", no_wrap=True)
    table.add_column("ended", no_wrap=True)
    for name in ("decided after", "restored in", "exposed"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why")
    for one in done:
        times = (f"{one.seconds_to_decide:.1f} s", f"{one.seconds_to_restore:.3f} s", str(one.exposed))
        table.add_row(one.fault, one.outcome if one.passed else f"{one.outcome}: FAILED", *times, one.reason)
    return table
