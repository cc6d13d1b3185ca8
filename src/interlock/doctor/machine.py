"""Facts of this machine. Nothing here uses a network; ports are bound on loopback and let go at once."""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import shutil
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from interlock.doctor.local import EnvironmentFacts, LocalFacts
from interlock.local import stack

LOCKED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$")
INVENTORY = """
import json, platform
from importlib import metadata
print(json.dumps({"python": platform.python_version(),
                  "installed": {one.metadata["Name"]: one.version for one in metadata.distributions()}}))
"""
NEW_GLIBC = (2, 38)  # below it the data environment has an older TensorFlow Data Validation; see deploy/environment.sh
START_SECONDS = 60


def local_facts(
    *, state: Path, environments: Path, requirements: Path | None, port: int, variables: Mapping[str, str]
) -> LocalFacts:
    """Look at this machine. ``environments`` holds ``ml/`` and ``data/``; ``requirements`` the locks, if any."""
    problem = _state_problem(state)
    place = stack.running_place(state)
    own = place is not None and place.api_endpoint.endswith(f":{port}")
    wanted = metadata.metadata("interlock")["Requires-Python"]
    python = platform.python_version()
    lower = {name.lower(): value for name, value in variables.items()}
    return LocalFacts(
        python=python,
        python_range=wanted,
        python_fits=SpecifierSet(wanted).contains(python),
        environments=[
            environment_facts(name, environments / name / "bin" / "python", lock_of(name, requirements))
            for name in ("ml", "data")
        ],
        state=str(state),
        state_problem=problem,
        disk_free=_disk_free(state),
        memory_available=_memory_available(Path("/proc/meminfo")),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        sync_ms=None if problem else _sync_ms(state),
        journal_mode="" if problem else _journal_mode(state),
        port=port,
        port_problem="" if own else _port_problem(port),
        stack="up" if place else "half" if (state / "place.json").exists() else "down",
        proxy=lower.get("http_proxy", "") or lower.get("all_proxy", ""),
        no_proxy=lower.get("no_proxy", ""),
    )


def lock_of(name: str, requirements: Path | None) -> Path | None:
    """The lock that environment ``name`` is built from on this machine, None where there are no locks."""
    if requirements is None or not requirements.is_dir():
        return None
    if name != "data":
        return requirements / f"{name}.lock"
    library, version = platform.libc_ver()
    old = library == "glibc" and tuple(int(part) for part in version.split(".")[:2]) < NEW_GLIBC
    return requirements / ("data-1.16.lock" if old else "data-1.21.lock")


def environment_facts(name: str, python: Path, lock: Path | None) -> EnvironmentFacts:
    """Ask the environment's own interpreter what is installed."""
    locked = read_lock(lock.read_text()) if lock and lock.is_file() else {}
    try:
        done = subprocess.run(
            [python, "-I", "-c", INVENTORY], capture_output=True, text=True, timeout=START_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return EnvironmentFacts(name=name, python="", lock=lock.name if locked and lock else "", locked=locked)
    told = json.loads(done.stdout)
    installed = {str(canonicalize_name(one)): version for one, version in told["installed"].items()}
    return EnvironmentFacts(
        name=name, python=told["python"], lock=lock.name if locked and lock else "", locked=locked, installed=installed
    )


def read_lock(text: str) -> dict[str, str]:
    """Name -> version of what a lock asks for on this system."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = LOCKED.match(line)
        if match and (not match[3] or Marker(match[3]).evaluate()):
            found[canonicalize_name(match[1])] = match[2]
    return found


def _state_problem(state: Path) -> str:
    """Why the folder, or the nearest one above it that exists, cannot be written; '' if it can."""
    folder = _existing(state)
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _disk_free(state: Path) -> int | None:
    try:
        return shutil.disk_usage(_existing(state)).free
    except OSError:
        return None


def _memory_available(meminfo: Path) -> int | None:
    """Bytes that programs can have without swapping, where the system tells."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _sync_ms(state: Path) -> float | None:
    """Median time of twenty synced writes of a page, in milliseconds."""
    times = []
    try:
        with tempfile.NamedTemporaryFile(dir=_existing(state)) as file:
            for _ in range(20):
                began = time.perf_counter()
                file.write(b"\0" * 4096)
                file.flush()
                os.fsync(file.fileno())
                times.append(1000 * (time.perf_counter() - began))
    except OSError:
        return None
    return statistics.median(times)


def _journal_mode(state: Path) -> str:
    with tempfile.TemporaryDirectory(dir=_existing(state), prefix=".doctor-") as folder:
        connection = sqlite3.connect(Path(folder) / "probe.db", timeout=2)
        try:
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            connection.execute("CREATE TABLE probe (x)")
            return str(mode)
        except sqlite3.Error:
            return ""
        finally:
            connection.close()


def _port_problem(port: int) -> str:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.strerror or str(error)
    return ""
