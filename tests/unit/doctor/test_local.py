"""The laptop's prerequisites: judged as values, and found wrong on a real machine where they are made wrong."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from interlock.doctor.finding import Finding, State, exit_status, missing, ok, unknown, warning
from interlock.doctor.local import EnvironmentFacts, LocalFacts, judge_environment, judge_local
from interlock.doctor.machine import environment_facts, lock_of, read_lock

ROOT = Path(__file__).parents[3]
COMMAND = Path(sys.executable).parent / "interlock"
GOOD = LocalFacts(
    python="3.11.7",
    python_range=">=3.11",
    python_fits=True,
    environments=[],
    state=".interlock",
    state_problem="",
    disk_free=10**11,
    memory_available=10**10,
    open_files=4096,
    sync_ms=1.0,
    journal_mode="wal",
    port=0,
    port_problem="",
    stack="down",
)


def states(facts: LocalFacts) -> dict[str, State]:
    return {one.check: one.state for one in judge_local(facts)}


def test_a_good_machine_has_nothing_to_mend():
    findings = judge_local(GOOD)
    assert {one.state for one in findings} == {State.OK}
    assert not [one for one in findings if one.mend]
    assert exit_status(findings) == 0


@pytest.mark.parametrize(
    ("change", "check", "state"),
    [
        ({"python_fits": False}, "Python", State.MISSING),
        ({"state_problem": "Read-only file system"}, "state folder", State.MISSING),
        ({"disk_free": 10**8}, "disk", State.MISSING),
        ({"disk_free": 2 * 10**9}, "disk", State.WARNING),
        ({"disk_free": None}, "disk", State.WARNING),
        ({"memory_available": 10**8}, "memory", State.MISSING),
        ({"open_files": 256}, "open files", State.WARNING),
        ({"sync_ms": None}, "file system", State.MISSING),
        ({"sync_ms": 80.0}, "file system", State.WARNING),
        ({"journal_mode": "delete"}, "SQLite", State.MISSING),
        ({"port": 8080, "port_problem": "Address already in use"}, "emulator port", State.MISSING),
        ({"proxy": "http://proxy:3128"}, "proxy", State.WARNING),
        ({"proxy": "http://proxy:3128", "no_proxy": "localhost, .corp"}, "proxy", State.OK),
        ({"stack": "half"}, "emulators", State.WARNING),
    ],
)
def test_each_fault_is_found_and_has_a_remedy(change, check, state):
    found = {one.check: one for one in judge_local(msgspec.structs.replace(GOOD, **change))}
    assert found[check].state == state
    assert bool(found[check].mend) == (state != State.OK)
    others = {one.state for name, one in found.items() if name != check}
    assert others == {State.OK}


def test_a_folder_that_cannot_be_written_is_not_measured():
    assert "SQLite" not in states(msgspec.structs.replace(GOOD, state_problem="gone", sync_ms=None, journal_mode=""))


@pytest.mark.parametrize(
    ("findings", "status"),
    [
        ([], 1),
        ([ok("a", "")], 0),
        ([ok("a", ""), warning("b", "", "c")], 0),
        ([ok("a", ""), missing("b", "", "c")], 1),
        ([ok("a", ""), unknown("b", "", "c")], 1),
    ],
)
def test_exit_status(findings: list[Finding], status: int):
    assert exit_status(findings) == status


def test_a_lock_is_read_with_its_markers():
    text = (
        "one==1.0 \\\n    --hash=sha256:00\n"
        'Two_Part[extra]==2.1 ; sys_platform == "no-such-system" \\\n    --hash=sha256:00\n'
        'three.dots==3 ; python_full_version >= "3" \\\n'
        "    # via one\n"
    )
    assert read_lock(text) == {"one": "1.0", "three-dots": "3"}


def test_the_environment_of_these_tests_is_as_in_its_lock():
    lock = lock_of("ml", ROOT / "requirements")
    assert lock is not None
    facts = environment_facts("ml", Path(sys.executable), lock)
    assert len(facts.locked) > 50
    assert "msgspec" in facts.installed
    assert set(facts.locked) - set(facts.installed) < set(facts.locked)


def test_packages_that_differ_are_named():
    facts = EnvironmentFacts(
        name="ml", python="3.11", lock="ml.lock", locked={"a": "1", "b": "2", "c": "3"}, installed={"a": "1", "b": "9"}
    )
    found = judge_environment(facts)
    assert found.state == State.MISSING
    assert "2 of 3 packages" in found.found
    assert "c is missing, b 9 instead of 2" in found.found


# --- the command, on machines that are really wrong ---------------------------------------------------------------


def doctor(*arguments: str, **variables: str) -> tuple[int, dict[str, dict]]:
    """Exit status and findings by check."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **variables}
    done = subprocess.run(
        [COMMAND, "doctor", "--local", "--json", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, {one["check"]: one for one in json.loads(done.stdout)["local"]}


def test_an_empty_environment_and_a_missing_one(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "ml")], check=True, timeout=60)
    status, found = doctor(f"--state={tmp_path / 'state'}", INTERLOCK_ENVIRONMENTS=str(tmp_path))
    assert status == 1
    assert found["environment ml"]["state"] == "missing"
    assert "packages are not as in ml.lock" in found["environment ml"]["found"]
    assert found["environment data"]["state"] == "missing"
    assert found["environment data"]["mend"] == "make setup"
    assert found["state folder"]["state"] == "ok"
    assert not (tmp_path / "state").exists(), "a look changes nothing"


def test_a_state_folder_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    status, found = doctor(f"--state={tmp_path / 'file' / 'state'}")
    assert status == 1
    assert found["state folder"]["state"] == "missing"
    assert "SQLite" not in found


def test_a_port_that_is_taken_and_a_proxy(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, found = doctor(f"--state={tmp_path}", f"--port={port}", HTTP_PROXY="http://127.0.0.1:9")
    assert status == 1
    assert found["emulator port"]["state"] == "missing"
    assert f"127.0.0.1:{port}: Address already in use" in found["emulator port"]["found"]
    assert found["proxy"]["mend"] == "export NO_PROXY=127.0.0.1,localhost"


def test_half_a_stack(tmp_path):
    (tmp_path / "place.json").write_text("{}")
    _, found = doctor(f"--state={tmp_path}")
    assert found["emulators"]["state"] == "warning"
    assert found["emulators"]["mend"] == "interlock down && interlock up"
