"""``interlock schema``: inferred once, changed with comments kept, refused when it would lose work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

INTERLOCK = Path(sys.executable).with_name("interlock")

CONFIG = {
    "name": "small",
    "source": {"table": "t.csv", "time": "when", "key": ["id"]},
    "label": {"name": "late", "sql": "y > 0"},
    "features": {"numbers": ["x"], "categories": ["kind"]},
    "validation": {"schema": "schema.pbtxt"},
    "cost": {"false_positive": 1, "false_negative": 5},
    "gates": {
        "metrics": [{"metric": "auc", "at_least": 0.5}],
        "regression": [{"metric": "auc", "within": 0.1}],
        "latency_p99_ms": 50,
        "size_megabytes": 20,
    },
    "metrics": [{"name": "cost", "value": "cost", "role": "business", "cap": 5}],
    "strategy": {"steps": [{"weight": 5, "margin": 0.5}]},
}


def rows(kinds: str) -> str:
    lines = [f"2024-01-01 {i % 24:02d}:00:00,{i},{i / 2},{kinds[i % len(kinds)]},1\n" for i in range(60)]
    return "when,id,x,kind,y\n" + "".join(lines)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (tmp_path / "t.csv").write_text(rows("ab"))
    return tmp_path


def schema(folder: Path, command: str, *more: str) -> subprocess.CompletedProcess[str]:
    arguments = [str(INTERLOCK), "schema", command, "-c", str(folder / "config.yaml"), *more]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def test_infer_diff_accept(folder: Path) -> None:
    file = folder / "schema.pbtxt"
    assert "interlock schema infer" in schema(folder, "diff").stderr
    assert schema(folder, "infer").returncode == 0
    assert 'default_environment: "SERVING"' in file.read_text()
    again = schema(folder, "infer")
    assert again.returncode == 2
    assert "exists" in again.stderr
    assert schema(folder, "diff").returncode == 0

    reviewed = "# Reviewed by hand { not a block }.\n" + file.read_text()
    file.write_text(reviewed)
    (folder / "t.csv").write_text(rows("abc"))
    changed = schema(folder, "diff")
    assert changed.returncode == 3
    added = [line for line in changed.stdout.splitlines() if line.startswith("+") and not line.startswith("+++")]
    assert added == ['+  value: "c"']
    assert file.read_text() == reviewed

    assert schema(folder, "accept").returncode == 0
    assert file.read_text().startswith("# Reviewed by hand { not a block }.\n")
    assert schema(folder, "diff").returncode == 0


def test_a_typo_is_named(folder: Path) -> None:
    (folder / "schema.pbtxt").write_text('feature { name: "x" typo: INT }')
    done = schema(folder, "diff")
    assert done.returncode == 2
    assert "typo" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
