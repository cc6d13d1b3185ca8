"""Docker, by its own client: whether it can run something, and the containers that belong to a state folder.

Every container has the labels ``interlock.state`` (:func:`state_id` of the folder) and, for a step, ``interlock.job``.
A client of Docker that is killed leaves its container behind; ``<state>/containers`` is there from before the first
container is started until :func:`remove_all` has removed the last one, so that nobody else ever waits for Docker.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from interlock.errors import EnvironmentProblem

STATE, JOB = "interlock.state", "interlock.job"
_MARK = "containers"
_ANSWER_SECONDS, _REMOVE_SECONDS = 10.0, 30.0


def require_daemon() -> None:
    """:class:`EnvironmentProblem` unless a Docker daemon answers."""
    if shutil.which("docker") is None:
        raise EnvironmentProblem("docker is not installed here")
    if _docker(["version", "--format", "{{.Server.Version}}"]) is None:
        raise EnvironmentProblem("no Docker daemon answers; start one")


def require_images(images: Iterable[str]) -> None:
    """:class:`EnvironmentProblem` that names every image that is not on this machine: none is fetched unasked."""
    missing = [image for image in sorted(set(images)) if _docker(["image", "inspect", image]) is None]
    if missing:
        raise EnvironmentProblem(
            f"image {', '.join(missing)} is not on this machine: `docker pull` it, or `make images` for Interlock's"
        )


def bridge() -> tuple[str, str]:
    """Gateway and subnet of Docker's default network, ('', '') where there is none."""
    shown = "{{range .IPAM.Config}}{{.Gateway}} {{.Subnet}}\n{{end}}"
    for line in (_docker(["network", "inspect", "bridge", "--format", shown]) or "").splitlines():
        gateway, _, subnet = line.strip().partition(" ")
        if "." in gateway:
            return gateway, subnet
    return "", ""


def first_process(name: str) -> int:
    """Process id on this machine of what a container started; 0 where it has none here."""
    shown = (_docker(["inspect", "--format", "{{.State.Pid}}", name]) or "").strip()
    return int(shown) if shown.isdigit() and Path(f"/proc/{shown}").exists() else 0


def labels(state: Path, job: str = "") -> list[str]:
    """Arguments of ``docker run`` for a container of ``state``, which is marked to have containers from now on."""
    (state / _MARK).touch()
    arguments = ["--label", f"{STATE}={state_id(state)}"]
    return [*arguments, "--label", f"{JOB}={job}"] if job else arguments


def state_id(state: Path) -> str:
    """What stands for a state folder in a label: a digest of its path, which may be private."""
    return hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:16]


def remove_job(state: Path, job: str) -> None:
    """Remove the containers of one job."""
    _remove([f"{STATE}={state_id(state)}", f"{JOB}={job}"])


def remove_all(state: Path) -> int:
    """Remove every container of ``state`` and return how many there were. Call it while no emulator uses ``state``.

    :class:`EnvironmentProblem` when Docker does not answer: the next call tries again.
    """
    if not (state / _MARK).exists():
        return 0
    removed = _remove([f"{STATE}={state_id(state)}"])
    (state / _MARK).unlink(missing_ok=True)
    return removed


def _remove(found_by: list[str]) -> int:
    filters = [part for label in found_by for part in ("--filter", f"label={label}")]
    listed = _docker(["ps", "--all", "--quiet", *filters])
    names = (listed or "").split()
    if listed is not None and not names:
        return 0
    if listed is None or _docker(["rm", "--force", "--volumes", *names], _REMOVE_SECONDS) is None:
        raise EnvironmentProblem(
            f"containers with label {' and '.join(found_by)} cannot be removed: Docker does not answer; start it"
        )
    return len(names)


def _docker(arguments: list[str], seconds: float = _ANSWER_SECONDS) -> str | None:
    """What ``docker`` prints, None if it fails, is not there or takes too long."""
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
