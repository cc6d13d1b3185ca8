"""One warm interpreter per environment, shared by all jobs of one state folder.

``<state>/warm-<name>.json`` says where its socket is. The socket itself lives in a private folder with a
short path, because a Unix socket's path may have 107 bytes at most.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from interlock.local import warm
from interlock.local.command import LightweightCommand
from interlock.local.environments import Environment
from interlock.local.steps import RunningSteps, kill_group

# Libraries read these when they are imported: a warm interpreter is started with them.
READ_AT_IMPORT = (
    "PYTHON",
    "LD_",
    "OMP_",
    "OPENBLAS_",
    "MKL_",
    "TF_",
    "GRPC_",
    "NO_GCE_CHECK",
    "GCE_METADATA_",
)

# A step waits at most for the slowest single import of the preload.
START_SECONDS = 60


class WarmPool:
    """Starts warm interpreters on demand and runs steps in them.

    They end by themselves: after ``idle_seconds`` without work, or when the process ``owner`` is gone.
    ``variables`` are those of every step; jobs that share a state folder should give the same.
    """

    def __init__(
        self,
        state: Path,
        *,
        owner: int,
        idle_seconds: float,
        process_environment: Mapping[str, str],
        variables: Mapping[str, str],
    ) -> None:
        self._state = state
        self._owner = owner
        self._idle_seconds = idle_seconds
        self._process_environment = process_environment
        self._at_import = {name: value for name, value in variables.items() if name.startswith(READ_AT_IMPORT)}

    def start(self, environment: Environment) -> str:
        """See that a warm interpreter listens; its socket. Returns before it has loaded anything."""
        self._state.mkdir(parents=True, exist_ok=True)
        with self._locked(environment):
            current = self._stamp(environment)
            record = self._record(environment)
            path = record.get("socket", "")
            stream = _connect(path)
            if stream is None:
                if path:
                    shutil.rmtree(Path(path).parent, ignore_errors=True)
                return self._launch(environment, current)
            with stream:
                if record["stamp"] == current:
                    return path
                # Its packages or variables have changed: let it finish and take its place.
                stream.sendall(b'{"stop": true}\n')
            return self._launch(environment, current)

    def run(
        self,
        environment: Environment,
        command: LightweightCommand,
        variables: Mapping[str, str],
        log: Path,
        steps: RunningSteps,
    ) -> int | None:
        """The step's exit code (-signal when killed), or None when it was not started."""
        stream = _connect(self.start(environment))
        if stream is None:
            return None
        started: list[int] = []
        with stream, steps.running(lambda: _end(stream, started)):
            request = {
                "source": command.source,
                "arguments": command.arguments,
                "variables": dict(variables),
                "cwd": str(Path.cwd()),
                "log": str(log.absolute()),
            }
            return _converse(stream, json.dumps(request).encode() + b"\n", started)

    def _launch(self, environment: Environment, stamp: str) -> str:
        folder = Path(tempfile.mkdtemp(prefix="interlock-"))  # mode 0700
        path = folder / "warm.sock"
        with socket.socket(socket.AF_UNIX) as server, self._file(environment, "log").open("ab") as log:
            server.bind(str(path))
            server.listen(64)
            # -P: the script's folder must not be on the path, or its neighbours shadow other modules.
            command = [str(environment.python), "-P", warm.__file__, "--listen", str(server.fileno())]
            command += ["--folder", str(folder), "--owner", str(self._owner)]
            command += ["--idle", str(self._idle_seconds), *environment.preload]
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**self._process_environment, **environment.variables, **self._at_import},
                pass_fds=[server.fileno()],
                start_new_session=True,
            )
        self._file(environment, "json").write_text(json.dumps({"socket": str(path), "stamp": stamp}))
        return str(path)

    def _stamp(self, environment: Environment) -> str:
        """Changes with the packages on disk, this code, and the variables that imports read."""
        packages = sorted(environment.python.parent.parent.glob("lib/python3*/site-packages"))
        times = [path.stat().st_mtime_ns for path in [*packages, Path(warm.__file__)]]
        return json.dumps([str(environment.python), *environment.preload, times, sorted(self._at_import.items())])

    def _record(self, environment: Environment) -> dict[str, str]:
        file = self._file(environment, "json")
        if not file.exists():
            return {}
        record: dict[str, str] = json.loads(file.read_text() or "{}")
        return record

    def _file(self, environment: Environment, suffix: str) -> Path:
        return self._state / f"warm-{environment.name}.{suffix}"

    @contextlib.contextmanager
    def _locked(self, environment: Environment) -> Iterator[None]:
        with self._file(environment, "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _connect(path: str) -> socket.socket | None:
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(START_SECONDS)
    try:
        stream.connect(path)
    except OSError:
        stream.close()
        return None
    return stream


def _end(stream: socket.socket, started: list[int]) -> None:
    """Kill the step now. The closed connection tells the warm interpreter, which may be busy importing."""
    for group in started:
        kill_group(group)
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)


def _converse(stream: socket.socket, request: bytes, started: list[int]) -> int | None:
    """Send the request and wait for the end. Lost before the start: None. Lost after it: as if killed."""
    try:
        stream.sendall(request)
        with stream.makefile("rb") as lines:
            started.append(json.loads(lines.readline())["started"])
            stream.settimeout(None)
            return int(json.loads(lines.readline())["exit"])
    except (OSError, ValueError):
        return -9 if started else None
