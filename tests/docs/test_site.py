"""The site builds without a warning, and asks no other host for anything. `make docs` builds its environment."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from .pages import ROOT

MKDOCS = ROOT / ".venv" / "docs" / "bin" / "mkdocs"
READY = ROOT / ".venv" / "docs.stamp"  # written last
pytestmark = pytest.mark.skipif(not READY.exists(), reason="no .venv/docs: `make docs` builds it")
LOADED = re.compile(r'<(?:script|img|iframe|source)\b[^>]*\bsrc="(https?:)?//|<link\b[^>]*\bhref="(https?:)?//')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [MKDOCS, "build", "--strict", "--quiet", "--site-dir", folder]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False, timeout=120)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = [path for path in site.rglob("*.html") if path.name != "404.html"]
    assert len(pages) > 30
    assert [path.name for path in pages if LOADED.search(path.read_text(encoding="utf-8"))] == []


def test_the_generator_is_not_published(site: Path) -> None:
    assert [path for path in site.rglob("*") if path.suffix == ".py"] == []
