"""The hand-kept package list and folder map of pyproject.toml, held against the folders."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_is_listed():
    found = {"interlock.components", "interlock.pipelines"}
    for init in (ROOT / "src" / "interlock").rglob("__init__.py"):
        found.add(".".join(init.parent.relative_to(ROOT / "src").parts))
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found


def test_top_folders_are_mapped():
    folders = PROJECT["tool"]["setuptools"]["package-dir"]
    assert folders == {
        "interlock": "src/interlock",
        "interlock.components": "components",
        "interlock.pipelines": "pipelines",
    }


def test_nothing_generic_is_importable(tmp_path):
    code = "import importlib.util as u; assert not u.find_spec('components') and not u.find_spec('pipelines')"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_version_is_one():
    import interlock

    assert PROJECT["project"]["version"] == interlock.__version__


def test_upper_bounds_have_a_reason():
    for line in (ROOT / "pyproject.toml").read_text().splitlines():
        text = line.strip()
        if text.startswith('"') and ("<" in text.split("#")[0] or "==" in text.split("#")[0]) and ">=" in text:
            assert "#" in text, f"no reason beside {text}"


def test_locks_carry_hashes_and_no_addresses():
    for lock in (ROOT / "requirements").glob("*.lock"):
        text = lock.read_text()
        assert "--hash=sha256:" in text, lock
        assert "://" not in text, lock
        assert "--index" not in text, lock


def test_the_command_line_needs_nothing_that_the_emulator_alone_does_not_have():
    heavy = {"numpy", "pandas", "pyarrow", "duckdb", "sklearn", "scipy", "kfp", "google.cloud.aiplatform", "matplotlib"}
    code = f"import sys, interlock.cli; print(*sorted({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split() == []
