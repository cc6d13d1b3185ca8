"""What the laptop needs. Facts in, findings out; :mod:`interlock.doctor.machine` gathers the facts."""

from __future__ import annotations

import msgspec

from interlock.doctor.finding import Finding, missing, ok, warning

GIGABYTE = 10**9
LEAST_DISK, GOOD_DISK = 1 * GIGABYTE, 5 * GIGABYTE  # state of one run of the example: 0.2 GB; of a month of them: 5
LEAST_MEMORY, GOOD_MEMORY = 1 * GIGABYTE, 3 * GIGABYTE  # emulators, model servers and one step at its peak
LEAST_FILES = 1024
SLOW_SYNC_MS = 50.0  # every entry of the rollout journal waits for one
LOOPBACK = ("127.0.0.1", "localhost")


class EnvironmentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One Python environment: what its lock asks for and what is in it.

    ``lock`` is the file's name, '' where there is none (an installed package, no checkout). ``python`` is its
    version, '' when the interpreter is not there or does not start.
    """

    name: str
    python: str
    lock: str
    locked: dict[str, str] = {}
    installed: dict[str, str] = {}


class LocalFacts(msgspec.Struct, frozen=True, kw_only=True):
    """This machine. Sizes in bytes; None where the system does not tell.

    ``python_range`` as in ``requires-python``; ``python_fits`` whether the running one is in it. ``state_problem``:
    why the state folder cannot be written. ``sync_ms``: median of a synced write there. ``journal_mode``: what
    SQLite makes of WAL there. ``port`` 0 is any free one; ``port_problem`` why it cannot be bound.
    ``stack``: ``up``, ``down`` or ``half``.
    """

    python: str
    python_range: str
    python_fits: bool
    environments: list[EnvironmentFacts]
    state: str
    state_problem: str
    disk_free: int | None
    memory_available: int | None
    open_files: int
    sync_ms: float | None
    journal_mode: str
    port: int
    port_problem: str
    stack: str
    proxy: str = ""
    no_proxy: str = ""


def judge_local(facts: LocalFacts) -> list[Finding]:
    """Every check of the laptop, in the order in which one would mend them."""
    findings = [_python(facts), *(judge_environment(one) for one in facts.environments)]
    findings += [
        _state(facts),
        _size("disk", facts.disk_free, LEAST_DISK, GOOD_DISK, "free space, or set INTERLOCK_STATE"),
    ]
    close = "close other programs"
    findings += [_size("memory", facts.memory_available, LEAST_MEMORY, GOOD_MEMORY, close), _files(facts)]
    if not facts.state_problem:
        findings += [_sync(facts), _journal(facts)]
    return [*findings, _port(facts), _proxy(facts), _stack(facts)]


def judge_environment(facts: EnvironmentFacts) -> Finding:
    """Whether an environment has what its lock says."""
    check = f"environment {facts.name}"
    if not facts.python:
        return missing(check, "its interpreter is not there or does not start", "make setup")
    if not facts.lock:
        return ok(check, f"Python {facts.python}, installed without a lock")
    absent = sorted(name for name in facts.locked if name not in facts.installed)
    other = sorted(
        f"{name} {facts.installed[name]} instead of {version}"
        for name, version in facts.locked.items()
        if name in facts.installed and facts.installed[name] != version
    )
    if absent or other:
        shown = ", ".join([*(f"{name} is missing" for name in absent), *other][:3])
        found = f"{len(absent) + len(other)} of {len(facts.locked)} packages are not as in {facts.lock}: {shown}"
        return missing(check, found, f"rm -f .venv/{facts.name}.stamp && make setup")
    return ok(check, f"Python {facts.python}, {len(facts.locked)} packages as in {facts.lock}")


def _python(facts: LocalFacts) -> Finding:
    if facts.python_fits:
        return ok("Python", f"{facts.python}, {facts.python_range} wanted")
    return missing("Python", f"{facts.python}, {facts.python_range} wanted", "PYTHON=python3.11 make setup")


def _state(facts: LocalFacts) -> Finding:
    if facts.state_problem:
        mend = "mend its rights, or set INTERLOCK_STATE to another folder"
        return missing("state folder", f"{facts.state}: {facts.state_problem}", mend)
    return ok("state folder", f"{facts.state} can be written")


def _size(check: str, have: int | None, least: int, good: int, mend: str) -> Finding:
    if have is None:
        return warning(check, "the system does not say", f"see that {good / GIGABYTE:g} GB are free")
    found = f"{have / GIGABYTE:.1f} GB free"
    if have < least:
        return missing(check, f"{found} < {least / GIGABYTE:g} GB", mend)
    if have < good:
        return warning(check, f"{found} < {good / GIGABYTE:g} GB", mend)
    return ok(check, found)


def _files(facts: LocalFacts) -> Finding:
    found = f"{facts.open_files} at a time"
    if facts.open_files < LEAST_FILES:
        return warning("open files", f"{found} < {LEAST_FILES}", f"ulimit -n {LEAST_FILES}")
    return ok("open files", found)


def _sync(facts: LocalFacts) -> Finding:
    if facts.sync_ms is None:
        mend = "put the state on a local disk: INTERLOCK_STATE"
        return missing("file system", "writes cannot be synced: a rollout could not survive a crash", mend)
    found = f"a synced write takes {facts.sync_ms:.1f} ms"
    if facts.sync_ms > SLOW_SYNC_MS:
        mend = "put the state on a local disk: INTERLOCK_STATE"
        return warning("file system", f"{found} > {SLOW_SYNC_MS:g} ms", mend)
    return ok("file system", found)


def _journal(facts: LocalFacts) -> Finding:
    if facts.journal_mode == "wal":
        return ok("SQLite", "write-ahead log works in the state folder")
    found = f"journal mode {facts.journal_mode or 'refused'} instead of wal: several processes cannot share the state"
    return missing("SQLite", found, "put the state on a local disk: INTERLOCK_STATE")


def _port(facts: LocalFacts) -> Finding:
    name = f"127.0.0.1:{facts.port}" if facts.port else "any port of 127.0.0.1"
    if facts.port_problem:
        mend = (
            "give --port 0 for any free one, or stop who has it"
            if facts.port
            else "see whether loopback is up: ip link"
        )
        return missing("emulator port", f"{name}: {facts.port_problem}", mend)
    return ok("emulator port", f"{name} can be bound")


def _proxy(facts: LocalFacts) -> Finding:
    if not facts.proxy:
        return ok("proxy", "none is set")
    past = {one.strip() for one in facts.no_proxy.split(",")}
    if past & {*LOOPBACK, "*"}:
        return ok("proxy", "loopback goes past it")
    return warning(
        "proxy", f"{facts.proxy} is set, and loopback is not excepted", "export NO_PROXY=127.0.0.1,localhost"
    )


def _stack(facts: LocalFacts) -> Finding:
    if facts.stack == "half":
        return warning("emulators", f"only one of the two runs on {facts.state}", "interlock down && interlock up")
    return ok("emulators", f"{facts.stack} on {facts.state}")
