"""An interpreter with its slow libraries already imported, which forks a child per pipeline step.

Run as a script by the interpreter of one environment, so that nothing of interlock is in memory and a step
always imports the source as it is now::

    waiting --request--> fork --> {"started": pid} --child ends--> {"exit": code} --> waiting
       |                             |
       |                             +--connection closed by the client--> the child's group is killed
       +--idle, or owner gone--> end

One line of JSON each way over a Unix socket; the connection lives exactly as long as the step. One thread,
because a fork copies only the thread that calls it. Requests are answered between two imports as well.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import logging
import os
import runpy
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

PR_SET_PDEATHSIG = 1
Request = dict[str, Any]


class Connection:
    """A client, its request so far, and the child that works for it (0: none yet)."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.received = b""
        self.child = 0

    def send(self, message: Request) -> None:
        with contextlib.suppress(OSError):  # the client may be gone; its child is killed on the same event
            self.stream.sendall(json.dumps(message).encode() + b"\n")


class WarmInterpreter:
    """The loop. ``serve`` returns None to end the process; in a forked child, the request to carry out."""

    def __init__(self, server: socket.socket, modules: list[str], owner: int, idle_seconds: float) -> None:
        self.server = server
        self.modules = modules
        self.owner = owner
        self.idle_seconds = idle_seconds
        self.busy_at = time.monotonic()
        self.stopping = False
        self.connections: set[Connection] = set()
        self.selector = selectors.DefaultSelector()
        self.selector.register(server, selectors.EVENT_READ)
        self.wakeup, wakeup_write = os.pipe()
        os.set_blocking(self.wakeup, False)
        os.set_blocking(wakeup_write, False)
        signal.set_wakeup_fd(wakeup_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to write to the wakeup pipe
        self.selector.register(self.wakeup, selectors.EVENT_READ)

    def serve(self) -> Request | None:
        while self._wanted():
            for key, _ in self.selector.select(0 if self.modules else 1):
                if key.fileobj is self.server:
                    self._accept()
                elif key.data is None:
                    os.read(self.wakeup, 4096)
                elif request := self._read(key.data):
                    return request
            self._reap()
            if self.modules:
                _preload(self.modules.pop(0))
        return None

    def _wanted(self) -> bool:
        if self.connections:
            self.busy_at = time.monotonic()
            return True
        idle = time.monotonic() - self.busy_at
        return not self.stopping and idle < self.idle_seconds and _alive(self.owner)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection = Connection(self.server.accept()[0])
            self.connections.add(connection)
            self.selector.register(connection.stream, selectors.EVENT_READ, connection)

    def _read(self, connection: Connection) -> Request | None:
        """Take what came; in the child forked for a complete request, return that request."""
        chunk = b""
        with contextlib.suppress(OSError):
            chunk = connection.stream.recv(1 << 20)
        if not chunk:
            self._hung_up(connection)
            return None
        connection.received += chunk
        if connection.child or not connection.received.endswith(b"\n"):
            return None
        request: Request = json.loads(connection.received)
        if request.get("stop"):
            self.stopping = True
            self._forget(connection)
            return None
        if _closed(connection.stream):  # given up meanwhile, and perhaps run elsewhere
            self._forget(connection)
            return None
        return self._fork(connection, request)

    def _fork(self, connection: Connection, request: Request) -> Request | None:
        gc.freeze()  # the collector must not touch, and so copy, the shared pages
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        connection.child = os.fork()
        if connection.child:
            connection.send({"started": connection.child})
            return None
        os.setsid()
        _die_with(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.selector.close()
        self.server.close()
        for other in self.connections:
            other.stream.close()
        return request

    def _hung_up(self, connection: Connection) -> None:
        self.selector.unregister(connection.stream)
        if connection.child:
            _kill_group(connection.child)  # collected in _reap
        else:
            self._forget(connection)

    def _reap(self) -> None:
        for connection in [each for each in self.connections if each.child]:
            pid, status = os.waitpid(connection.child, os.WNOHANG)
            if pid:
                _kill_group(pid)  # as with a container, nothing a step started outlives it
                connection.send({"exit": os.waitstatus_to_exitcode(status)})
                self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        with contextlib.suppress(KeyError):
            self.selector.unregister(connection.stream)
        connection.stream.close()
        self.connections.discard(connection)


def _preload(name: str) -> None:
    try:
        importlib.import_module(name)
    except ImportError as error:
        sys.stderr.write(f"not preloaded: {name}: {error}\n")


def _closed(stream: socket.socket) -> bool:
    try:
        return stream.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _die_with(parent: int) -> None:
    """On Linux the kernel kills this process when ``parent`` dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def carry_out(request: Request) -> None:
    """Become the process that the component's compiled command would have started."""
    with open(request["log"], "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(request["variables"])
    os.environ["_KFP_RUNTIME"] = "true"
    os.chdir(request["cwd"])
    _forget_what_the_preload_decided()
    with tempfile.TemporaryDirectory(prefix="component-") as folder:
        path = Path(folder) / "ephemeral_component.py"
        path.write_text(request["source"], encoding="utf-8")
        sys.path.insert(0, os.getcwd())  # as python -m does
        sys.argv = ["executor_main", "--component_module_path", str(path), *request["arguments"]]
        runpy.run_module("kfp.dsl.executor_main", run_name="__main__", alter_sys=True)


class QuickEnd:
    """Ends the process as the interpreter would, except that it leaves the loaded modules as they are."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        code = 0
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            if isinstance(error.code, str):
                sys.stderr.write(f"{error.code}\n")
        elif kind is not None and error is not None:
            sys.excepthook(kind, error, where)
            code = 1
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 0xFF)


def _forget_what_the_preload_decided() -> None:
    tempfile.tempdir = None  # TMPDIR may differ
    logging.root.handlers.clear()  # some library logged at import; KFP wants to set logging up
    importlib.invalidate_caches()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # siblings would otherwise draw the same numbers


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", type=int, required=True, help="descriptor of the listening socket")
    parser.add_argument("--folder", required=True, help="removed at the end; holds the socket")
    parser.add_argument("--owner", type=int, required=True, help="pid without which this process ends")
    parser.add_argument("--idle", type=float, required=True, help="seconds without work after which it ends")
    parser.add_argument("modules", nargs="*")
    given = parser.parse_args(arguments)
    os.environ["_KFP_RUNTIME"] = "true"  # kfp.dsl then leaves the compiler out
    server = socket.socket(fileno=given.listen)
    request = WarmInterpreter(server, given.modules, given.owner, given.idle).serve()
    with QuickEnd():
        if request is None:
            shutil.rmtree(given.folder, ignore_errors=True)
        else:
            carry_out(request)


if __name__ == "__main__":
    main(sys.argv[1:])
