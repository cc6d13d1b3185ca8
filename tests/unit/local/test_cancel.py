"""A cancelled or abandoned job leaves no process behind."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl
from kfp.dsl import PipelineTaskFinalStatus


@dsl.component(base_image="interlock-ml", install_kfp_package=False)
def linger(pids: str) -> None:
    import os
    import subprocess
    import time
    from pathlib import Path

    child = subprocess.Popen(["sleep", "300"])
    partial = Path(pids + ".partial")
    partial.write_text(f"{os.getpid()} {child.pid}")
    partial.rename(pids)
    time.sleep(300)


@dsl.component(base_image="interlock-ml", install_kfp_package=False)
def afterwards(status: PipelineTaskFinalStatus) -> None:
    pass


@dsl.pipeline(name="lingering")
def lingering(pids: str) -> None:
    with dsl.ExitHandler(afterwards(), name="guard"):
        linger(pids=pids)


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Dead, or dead and not yet collected by its parent."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("warm", [False, True], ids=["plain", "warm"])
def test_sigterm_kills_the_step_and_all_it_started(jobs: Any, tmp_path: Path, warm: bool) -> None:
    pids = tmp_path / "pids"
    process, _ = jobs.start(lingering, {"pids": str(pids)}, warm=warm)
    wait_until(pids.exists)

    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)

    events = [json.loads(line) for line in output.splitlines()]
    assert events[-1]["state"] == "CANCELLED"
    assert [event["state"] for event in events if event.get("task") == "linger"] == ["RUNNING", "CANCELLED"]
    assert not [event for event in events if event.get("task") == "afterwards"]
    assert process.returncode == 0
    wait_until(lambda: all(gone(int(pid)) for pid in pids.read_text().split()))


@pytest.mark.parametrize("warm", [False, True], ids=["plain", "warm"])
def test_a_killed_job_takes_its_step_along(jobs: Any, tmp_path: Path, warm: bool) -> None:
    pids = tmp_path / "pids"
    process, _ = jobs.start(lingering, {"pids": str(pids)}, warm=warm)
    wait_until(pids.exists)

    process.kill()
    process.communicate(timeout=30)

    wait_until(lambda: all(gone(int(pid)) for pid in pids.read_text().split()))


def test_a_job_that_nobody_listens_to_ends(jobs: Any, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    process, _ = jobs.start(lingering, {"pids": str(pids)})
    wait_until(pids.exists)

    process.stdout.close()

    process.wait(timeout=30)
    wait_until(lambda: all(gone(int(pid)) for pid in pids.read_text().split()))
