"""``interlock up`` and ``down``: the storage emulator and the Vertex AI emulator, as processes of their own.

::

    <state>/place.json      contracts.Place: what every pipeline is told
    <state>/storage.json    {"pid", "port"} of the storage emulator
    <state>/console.json    {"pid", "port"} of the console, where it was opened
    <state>/logs/           what the two wrote
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from interlock.contracts import Place, read_contract, write_contract
from interlock.errors import EnvironmentProblem
from interlock.local.containers import remove_all
from interlock.settings import step_runner

PROJECT, LOCATION, BUCKET = "demo-project", "us-central1", "interlock"
START_SECONDS, STOP_SECONDS = 30.0, 20.0


class Running(msgspec.Struct, frozen=True):
    """A process we started, by id and by the time it started: ids are reused."""

    pid: int
    started: str
    port: int = 0
    runner: str = ""


def up(state: Path, *, port: int = 0, runner: str = "") -> Place:
    """Start what is not running; returns where everything is. ``port`` of the Vertex emulator, 0 = any free one.

    ``runner``: what a pipeline step is, "process" or "docker"; '' for what the settings say.
    """
    state = state.resolve()
    require_writable(state)
    running = running_place(state)
    if running is not None:
        _require_runner(state, runner)
        return running
    _stop(state)  # half a stack is no stack
    storage = _start_storage(state)
    runner = runner or step_runner()
    arguments = ["--state", str(state), "--project", PROJECT, "--location", LOCATION]
    arguments += ["--port", str(port), "--runner", runner]
    warehouse = f"sqlite:///{state / 'warehouse.db'}"
    arguments += ["--warehouse", warehouse, "--storage-endpoint", f"http://127.0.0.1:{storage.port}"]
    process = _start(state, "emulator", [sys.executable, "-m", "interlock.emulator", *arguments])
    ready = state / "emulator.json"
    try:
        _wait(state, "emulator", process, lambda: _emulator_url(ready, process.pid) != "")
    except EnvironmentProblem:
        _stop(state)
        raise
    _write(state / "emulator.process.json", msgspec.structs.replace(process, runner=runner))
    place = Place(
        project=PROJECT,
        location=LOCATION,
        bucket=BUCKET,
        warehouse=warehouse,
        api_endpoint=_emulator_url(ready, process.pid),
        storage_endpoint=f"http://127.0.0.1:{storage.port}",
    )
    write_contract(place, state / "place.json")
    return place


def variables(place: Place) -> dict[str, str]:
    """What a script needs to point the plain client at ``place``; docs/emulator.md has the lines that read it."""
    return {
        "STORAGE_EMULATOR_HOST": place.storage_endpoint,
        "INTERLOCK_API_ENDPOINT": place.api_endpoint,
        "INTERLOCK_PROJECT": place.project,
        "INTERLOCK_LOCATION": place.location,
        "INTERLOCK_STAGING_BUCKET": f"gs://{place.bucket}",
        "INTERLOCK_WAREHOUSE": place.warehouse,
        # Nothing here has credentials: without this, libraries look for a metadata server for seconds.
        "NO_GCE_CHECK": "true",
    }


def shell_exports(place: Place) -> str:
    """:func:`variables` for ``eval``."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables(place).items())


def running_place(state: Path) -> Place | None:
    """The place of a running stack, None if either process is gone."""
    processes = [_read(state / f"{name}.json") for name in ("storage", "emulator.process")]
    if any(process is None or not _is_alive(process) for process in processes):
        return None
    place = read_contract(state / "place.json", Place)
    answers = _answers(place.api_endpoint) and _answers(place.storage_endpoint)
    return place if answers else None


def require_place(state: Path) -> Place:
    """The running place, or what to do about it."""
    place = running_place(state)
    if place is None:
        raise EnvironmentProblem(
            f"nothing runs on state folder {state.resolve()}: `interlock up` starts it, --state names another"
        )
    return place


def down(state: Path) -> list[str]:
    """Stop what we started, containers of a killed emulator included; returns the names of what was running."""
    stopped = _stop(state)
    if remove_all(state):
        stopped.append("containers")
    return stopped


def _stop(state: Path) -> list[str]:
    stopped = []
    for name in ("console", "emulator.process", "storage"):
        process = _read(state / f"{name}.json")
        if process is not None and _is_alive(process):
            _end(process.pid)
            stopped.append(name.partition(".")[0])
        (state / f"{name}.json").unlink(missing_ok=True)
    (state / "place.json").unlink(missing_ok=True)
    return stopped


def _require_runner(state: Path, runner: str) -> None:
    process = _read(state / "emulator.process.json")
    if runner and process is not None and process.runner != runner:
        raise EnvironmentProblem(
            f"the emulator on {state} runs with --runner {process.runner}: `interlock down` first, then up again"
        )


def missing_for_console() -> list[str]:
    """What the console needs and an installation of the emulator alone need not have."""
    needed = ("google-cloud-aiplatform", "numpy", "scipy", "matplotlib")
    return [name for name in needed if not any(importlib.metadata.distributions(name=name))]


def open_console(state: Path, *, port: int = 0) -> str:
    """Start the console of a running stack, unless it runs; returns its address. ``port`` 0 is any free one."""
    state = state.resolve()
    require_place(state)
    running = _read(state / "console.json")
    if running is not None and _is_alive(running):
        if _answers(f"http://127.0.0.1:{running.port}/health"):
            return f"http://127.0.0.1:{running.port}"
        _end(running.pid)
    port = port or _free_port()
    command = [sys.executable, "-m", "interlock.console", "--state", str(state), "--port", str(port)]
    process = msgspec.structs.replace(_start(state, "console", command), port=port)
    url = f"http://127.0.0.1:{port}"
    _wait(state, "console", process, lambda: _answers(f"{url}/health"))
    _write(state / "console.json", process)
    return url


def _start_storage(state: Path) -> Running:
    port = _free_port()
    command = [sys.executable, "-m", "gcp_storage_emulator", "--data-dir", str(state / "storage"), "start"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--default-bucket", BUCKET]
    process = _start(state, "storage", command)
    _wait(state, "storage", process, lambda: _answers(f"http://127.0.0.1:{port}"))
    running = msgspec.structs.replace(process, port=port)
    _write(state / "storage.json", running)
    return running


def _start(state: Path, name: str, command: Sequence[str]) -> Running:
    log = state / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
        )
    return Running(pid=process.pid, started=_start_time(process.pid))


def _wait(state: Path, name: str, process: Running, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if ready():
            return
        if not _is_alive(process):
            break
        time.sleep(0.05)
    lines = (state / "logs" / f"{name}.log").read_text(errors="replace").strip().splitlines()
    _end(process.pid)
    raise EnvironmentProblem(
        f"the {name} does not start: {lines[-1] if lines else 'no message'}; see {state}/logs/{name}.log"
    )


def require_writable(state: Path) -> None:
    """Make the folder, and :class:`EnvironmentProblem` if it cannot be written: better now than in the middle."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        probe = state / ".probe"
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except OSError as error:
        raise EnvironmentProblem(
            f"state folder {state} cannot be written: {error.strerror}; free space, mend rights, or set INTERLOCK_STATE"
        ) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True  # it is there and refuses this path
    except (OSError, ValueError):
        return False


def _emulator_url(ready: Path, pid: int) -> str:
    try:
        found = msgspec.json.decode(ready.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return ""
    return str(found["url"]) if found["pid"] == pid else ""


def _start_time(pid: int) -> str:
    """Start time of a process in kernel ticks: field 22 of its stat line; '' where there is no /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _is_alive(process: Running) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)  # a child that ended is not alive
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    return _start_time(process.pid) == process.started


def _end(pid: int) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            os.kill(pid, 0)
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)


def _read(path: Path) -> Running | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Running)
    except (OSError, msgspec.MsgspecError):
        return None


def _write(path: Path, process: Running) -> None:
    path.write_bytes(msgspec.json.encode(process))
