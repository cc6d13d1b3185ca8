"""The judge is put out of order on purpose, in a copy of the package: its tests must notice every time."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import interlock

HERE = Path(__file__).parent
PACKAGE = Path(interlock.__file__).parent


class Mutation(NamedTuple):
    """``old`` becomes ``new`` in a file of ``rollout``; ``tests`` are those that must fail then."""

    file: str
    old: str
    new: str
    tests: str


DECISION = "test_strategy.py::test_decision"
EVIDENCE = "test_evidence.py::test_"
MUTATIONS = {
    "harm is never shown": Mutation(
        "strategy.py", "if total < -math.log(strategy.alpha):", "if total < math.inf:", DECISION
    ),
    "promoted without evidence": Mutation(
        "strategy.py", "shown = log_e[weakest.name] >= math.log(limit)", "shown = True", DECISION
    ),
    "a hold never ends": Mutation(
        "strategy.py", "if progress.seconds_in_step >= step.deadline_seconds:", "if False:", DECISION
    ),
    "a broken source is no matter": Mutation(
        "strategy.py", "or _broken_source(broken or progress.problem or split_mismatch(checks))", "or None", DECISION
    ),
    "missing outcomes are no matter": Mutation(
        "strategy.py", "or _missing_outcomes(strategy, own)", "or None", DECISION
    ),
    "requests of other steps count": Mutation(
        "strategy.py",
        "for check in _of_step(step, checks))",
        "for check in checks)",
        "test_strategy.py::test_requests_of_an_earlier_step_do_not_count_for_this_one",
    ),
    "better is taken for worse": Mutation(
        "evidence.py", "odds = np.log(np.array(HARM_ODDS))", "odds = -np.log(np.array(HARM_ODDS))", DECISION
    ),
    "checks are not multiplied": Mutation(
        "evidence.py", "np.cumsum(factors, axis=-1)", "factors", EVIDENCE + "rates_find_a_doubled_error_rate"
    ),
    "a bet knows its own outcome": Mutation(
        "evidence.py",
        "np.cumsum(champion, axis=-2) - champion",
        "np.cumsum(champion, axis=-2)",
        EVIDENCE + "nothing_is_bet_before_the_champion_is_known",
    ),
    "the margin is given away": Mutation(
        "evidence.py",
        " - _log_factors(s, np.log(np.array([limit])))",
        "",
        EVIDENCE + "rates_noninferiority_at_the_margin_and_without_effect",
    ),
    "the loudest metric speaks for all": Mutation(
        "evidence.py",
        "np.log(np.array(weights) / np.sum(weights))",
        "0.0 * np.array(weights)",
        EVIDENCE + "combined_is_the_weighted_mean",
    ),
}


def copy_of_the_package(folder: Path) -> Path:
    """``rollout`` copied; everything else is the package itself. The copied folder."""
    copy = folder / "interlock"
    copy.mkdir()
    for entry in PACKAGE.iterdir():
        if entry.name not in ("rollout", "__pycache__"):
            (copy / entry.name).symlink_to(entry)
    return Path(shutil.copytree(PACKAGE / "rollout", copy / "rollout", ignore=shutil.ignore_patterns("__pycache__")))


def run_tests(folder: Path, tests: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--noconftest", "-p", "no:cacheprovider", str(HERE / tests)]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTEST_ADDOPTS": ""}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", MUTATIONS)
def test_is_noticed(tmp_path, name):
    mutation = MUTATIONS[name]
    file = copy_of_the_package(tmp_path) / mutation.file
    text = file.read_text()
    assert text.count(mutation.old) == 1, "the code has changed: change the mutation with it"
    file.write_text(text.replace(mutation.old, mutation.new))
    run = run_tests(tmp_path, mutation.tests)
    assert run.returncode == 1, run.stdout + run.stderr  # 1: a test failed; 2 and more: nothing was tested
    assert "AssertionError" in run.stdout, run.stdout


def test_the_copy_is_what_is_tested_and_passes_as_it_is(tmp_path):
    copy_of_the_package(tmp_path)
    assert run_tests(tmp_path, DECISION).returncode == 0
