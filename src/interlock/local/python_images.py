"""Environments for the images and packages of any pipeline, made once and kept.

::

    interlock-ml                      the environment of that name
    interlock-ml + packages           a new one on top of it
    python:3.11, ubi9/python-311      a new, empty one of that Python          (+ packages)
    anything else                     refused before the job starts

A made environment lives in ``<state>/environments/<digest of image, packages and options>``. kfp, which the compiler
has pip install at the head of every component, is linked from the environment of the runner, so a pipeline without
packages of its own needs no network.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from interlock.errors import EnvironmentProblem
from interlock.local.command import LightweightCommand, Packages, containers, missing_program, parse_command
from interlock.local.environments import PREFIX, Environment, environments_for, image_name

_PYTHON = re.compile(r"python-?(?:3\.?(\d+))?")
_TAG = re.compile(r"3\.(\d+)")
_INSTALL_SECONDS = 900
_READY = "ready"


class Need(msgspec.Struct, frozen=True):
    """What a step needs: steps with equal needs share an environment."""

    image: str
    packages: Packages = Packages()


def need_of(image: str, command: LightweightCommand | None) -> Need:
    """The need of a step; a container component brings no packages."""
    return Need(image, command.packages if command else Packages())


def environments_of(spec: dict[str, Any], *, root: Path, cache: Path, search_path: str) -> Mapping[Need, Environment]:
    """An environment for every step of a compiled pipeline; one :class:`EnvironmentProblem` names all that is missing.

    ``root`` holds the environments of Interlock's images, ``cache`` the ones made here, ``search_path`` (a PATH) the
    Pythons to make them of.
    """
    needs: dict[Need, str] = {}
    problems = []
    for label, container in containers(spec).items():
        command = [*container.get("command", []), *container.get("args", [])]
        parsed = parse_command(command)
        name = label.removeprefix("exec-")
        needs.setdefault(need_of(container["image"], parsed), name)
        if parsed is None and (program := missing_program(command)):
            problems.append(f"{name} runs {program}, which only image {container['image']!r} has")
    ours = [need.image for need in needs if image_name(need.image).startswith(PREFIX)]
    try:
        known = environments_for(ours, root)
    except EnvironmentProblem as error:
        problems.append(str(error))
        known = {}
    pythons: dict[str, Path] = {}
    for image in {need.image for need in needs} - set(ours):
        try:
            pythons[image] = _python(image, search_path)
        except EnvironmentProblem as error:
            problems.append(str(error))
    found: dict[Need, Environment] = {}
    for need, name in () if problems else needs.items():  # nothing is installed for a job that cannot run
        base = known.get(need.image)
        try:
            found[need] = _environment(need, base, base.python if base else pythons[need.image], cache)
        except EnvironmentProblem as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise EnvironmentProblem("; ".join(sorted(set(problems))))
    return found


def _environment(need: Need, base: Environment | None, python: Path, cache: Path) -> Environment:
    """``base``, where the image is one of Interlock's and nothing comes on top of it; else one from the cache."""
    if base is not None and not need.packages.names:
        return base
    on_top_of = sorted(python.parent.parent.glob("lib/python3*/site-packages")) if base else []
    digest = hashlib.sha256(msgspec.json.encode([str(python), need])).hexdigest()[:16]
    folder = cache / digest
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{digest}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / _READY).exists():
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder, python, need.packages, on_top_of)
    variables = base.variables if base else {}
    return Environment(name=digest, python=folder / "bin" / "python", variables=variables)


def _python(image: str, search_path: str) -> Path:
    """An interpreter of the version that ``image`` names; one without a version is met by the runner's own."""
    match = _PYTHON.fullmatch(image_name(image))
    if match is None:
        raise EnvironmentProblem(
            f"image {image!r} is neither a Python image nor one of Interlock's ({PREFIX}*): it needs containers"
        )
    tag = _TAG.match(image.rpartition("/")[2].partition(":")[2])
    minor = match[1] or (tag[1] if tag else str(sys.version_info.minor))
    candidates = [sys.executable, shutil.which(f"python3.{minor}", path=search_path)]
    for candidate in filter(None, candidates):
        asked = [candidate, "-c", "import sys; print(sys.version_info[1])"]
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
        if answer.returncode == 0 and answer.stdout.strip() == minor:
            return Path(candidate)
    raise EnvironmentProblem(f"image {image!r} needs Python 3.{minor}, and there is no python3.{minor} on PATH")


def _make(folder: Path, python: Path, packages: Packages, on_top_of: list[Path]) -> None:
    pip = [] if packages.names else ["--without-pip"]
    _run([str(python), "-m", "venv", *pip, str(folder)], f"a virtual environment of {python} cannot be made")
    own = next(folder.glob("lib/python3*/site-packages"))
    links = folder / "kfp"
    links.mkdir()
    for name in ("kfp", "typing_extensions"):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin:
            source = Path(spec.origin)
            source = source.parent if source.name == "__init__.py" else source
            (links / source.name).symlink_to(source)
    (own / "interlock.pth").write_text("".join(f"{path}\n" for path in [*on_top_of, links]))
    if packages.names:
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        wanted = ", ".join(packages.names)
        _run([*install, *packages.options, *packages.names], f"packages {wanted} cannot be installed")
    (folder / _READY).touch()


def _run(command: list[str], problem: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise EnvironmentProblem(f"{problem}: not done after {_INSTALL_SECONDS} s") from error
    if done.returncode != 0:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise EnvironmentProblem(f"{problem}: {lines[-1] if lines else f'exit code {done.returncode}'}")
