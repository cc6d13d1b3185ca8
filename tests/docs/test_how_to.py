"""How-to pages that need nothing but themselves, executed. tests/docs/test_tutorial.py has those that go on from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .executed import ALONE, execute, missing


@pytest.mark.parametrize("page", ALONE)
def test_runs_as_it_stands(page: str, tmp_path: Path) -> None:
    assert missing(page, execute(page, tmp_path, timeout=120)) == []
