"""What bad input gets: one clear line, a non-zero exit status, no half-registered model, no changed traffic."""

import json
import os
import signal
import socket
import subprocess
import sys
from datetime import datetime, timedelta

import pytest
import yaml

from interlock.contracts import Place, read_contract
from interlock.vertex.registry import VertexModelRegistry

from .conftest import interlock

FIRST = datetime(2024, 1, 1)
HEADER = "when,id,x,kind,y\n"


def csv_rows(n=400, label=lambda i: i % 2, x=lambda i: i % 7):
    return HEADER + "".join(
        f"{FIRST + timedelta(minutes=i):%Y-%m-%dT%H:%M:00Z},{i},{x(i)},{'ab'[i % 2]},{label(i)}\n" for i in range(n)
    )


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad") / "state"
    assert interlock("up", "--state", folder).returncode == 0
    yield folder
    interlock("down", "--state", folder)


@pytest.fixture
def use_case(tmp_path, flights):
    """A small table of its own: ``write(text, **changes)`` returns the config's path."""

    def write(text, name="table.csv", **changes):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        raw = yaml.safe_load((flights / "config.yaml").read_text())
        raw |= {
            "name": "small",
            "source": {"table": name, "time": "when", "key": ["id"]},
            "label": {"name": "late", "sql": "y = 1"},
            "features": {"numbers": ["x"], "categories": ["kind"]},
            "slices": [],
            "validation": {"minimum_rows": 10},
            "training": {"parameters": {"max_iter": 5}},
        }
        raw["gates"]["metrics"] = [{"metric": "auc", "at_least": 0.1, "minimum_rows": 10}]
        raw["gates"]["regression"] = [{"metric": "auc", "within": 0.5}]
        raw |= changes
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(raw))
        return path

    return write


def refused(state, config, *expected):
    done = interlock("submit", "training", "-c", config, "--state", state)
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for part in expected:
        assert part in done.stderr
    place = read_contract(state / "place.json", Place)
    assert VertexModelRegistry(place, "small").versions() == []


CASES = {
    "empty file": ("", ["table.csv"]),
    "header only": (HEADER, ["0 rows"]),
    "wrong delimiter": (csv_rows().replace(",", "^"), ["source.time", "when", "source.csv.delimiter"]),
    "label with one class": (csv_rows(label=lambda i: 1), ["label late", "both 0 and 1"]),
    "all-null feature": (csv_rows(x=lambda i: "NA"), ["x has no value"]),
    "repeated key": (csv_rows().replace(",399,", ",398,"), ["source.key", "repeat a key"]),
    "not a table": (b"\x00\xff\xfe" * 200, ["table.csv"]),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_tables(state, use_case, case):
    text, expected = CASES[case]
    refused(state, use_case(text), *expected)


def test_unreadable_parquet(state, use_case):
    config = use_case(b"PAR1 not really", name="table.parquet")
    refused(state, config, "table.parquet", "cannot be read")


def test_missing_file(state, use_case, tmp_path):
    config = use_case(csv_rows())
    (tmp_path / "table.csv").unlink()
    refused(state, config, "table.csv", "no such file")


def test_failed_gate_is_not_registered(state, use_case):
    raw = yaml.safe_load(use_case(csv_rows(label=lambda i: (i * 7919 % 13) % 2)).read_text())
    raw["gates"]["metrics"] = [{"metric": "auc", "at_least": 0.999, "minimum_rows": 10}]
    config = use_case(csv_rows(label=lambda i: (i * 7919 % 13) % 2), gates=raw["gates"])
    refused(state, config, "auc", "0.999", "not registered")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"features": {"numbers": ["altitude"]}}, ["features.numbers", "altitude", "id, kind, when, x, y"]),
        ({"slices": ["planet"]}, ["slices", "planet"]),
        ({"source": {"table": "table.csv", "time": "at", "key": ["id"]}}, ["source.time", "'at'"]),
    ],
)
def test_a_column_that_does_not_exist_is_refused_before_anything_runs(state, use_case, changes, expected):
    config = use_case(csv_rows(), **changes)
    refused(state, config, *expected)
    assert interlock("submit", "training", "-c", config, "--state", state).returncode == 2


def test_a_full_disk_leaves_nothing_that_looks_complete(tmp_path, use_case):
    config = use_case(csv_rows(200_000))
    code = f"""
import resource, signal
from pathlib import Path
from interlock.config import load_config
from interlock.ingestion.ingest import ingest_table
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
ingest_table(load_config(Path({str(config)!r})), start="", end="", base=Path({str(tmp_path)!r}), folder=Path("out"))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "EnvironmentProblem" in done.stderr.splitlines()[-1], done.stderr
    assert "cannot be written" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out" / "table.json").exists()
    assert not (tmp_path / "out" / "table.parquet").exists()


def test_debug_shows_where(tmp_path):
    done = interlock("--debug", "run", tmp_path / "none.yaml")
    assert "Traceback" in done.stderr


def test_exit_codes_tell_wrong_input_from_failure(tmp_path):
    assert interlock("submit", "training", "-c", tmp_path / "none.yaml", "--state", tmp_path).returncode == 2
    assert interlock("run", tmp_path / "none.yaml").returncode == 2
    done = interlock("status", "--state", tmp_path)
    assert done.returncode == 1
    assert "interlock up" in done.stderr


def test_port_in_use(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = interlock("up", "--state", tmp_path / "state", "--port", port)
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert not (tmp_path / "state" / "storage.json").exists()  # nothing is left running
    assert len(done.stderr.strip().splitlines()) == 1


def test_state_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    done = interlock("up", "--state", tmp_path / "file" / "state")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr


def test_dead_emulator(tmp_path, use_case):
    state = tmp_path / "state"
    assert interlock("up", "--state", state).returncode == 0
    try:
        os.kill(json.loads((state / "emulator.process.json").read_text())["pid"], signal.SIGKILL)
        done = interlock("submit", "training", "-c", use_case(csv_rows()), "--state", state)
        assert done.returncode == 1
        assert "interlock up" in done.stderr
    finally:
        interlock("down", "--state", state)
