"""What several tests of deploy/ share."""

import re
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def documented_grants():
    """Account -> scope -> roles, from the table in docs/google-cloud.md."""
    guide = (Path(__file__).parents[3] / "docs" / "google-cloud.md").read_text()
    lines = [line for line in guide.splitlines() if line.startswith("|")]
    start = next(i for i, line in enumerate(lines) if line.startswith("| account |"))
    header = [cell.strip() for cell in lines[start].strip("|").split("|")]
    rows = {}
    for line in lines[start + 2 :]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not cells[0].startswith("`interlock-"):
            break
        row = dict(zip(header, cells, strict=True))
        rows[row["account"].strip("`")] = {
            column: {one if column == "acts as" else f"roles/{one}" for one in re.findall(r"`([^`]+)`", row[column])}
            for column in header[2:]
        }
    return rows
