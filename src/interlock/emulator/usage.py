"""What a server uses, its workers included."""

from __future__ import annotations

import os
from pathlib import Path


def used(pid: int) -> tuple[float, float]:
    """Resident memory in MB and processor seconds of a process and all below it; zeros where there is no /proc."""
    pages, ticks = 0, 0
    for each in [pid, *_below(pid)] if pid else []:
        try:
            stat = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pages += int(stat[21])
        ticks += int(stat[11]) + int(stat[12])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1), round(ticks / os.sysconf("SC_CLK_TCK"), 2)


def _below(pid: int) -> list[int]:
    """Children, and theirs, as their first threads started them."""
    try:
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*children, *(each for child in children for each in _below(child))]
