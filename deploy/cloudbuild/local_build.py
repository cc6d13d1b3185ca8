"""Run a Cloud Build file on this machine: ``local_build.py cloudbuild.yaml [--dry-run] [--steps check unit]``.

The steps' verbs run one after another in an order that ``waitFor`` allows. A verb that needs Google Cloud is replaced
by its name and what it would do; one that needs Docker is left out, and said to be, where no daemon answers. No layers
are taken from the project's cache: a laptop need not be logged in.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
GOOGLE_CLOUD = {"push-images", "push-templates", "submit-training", "submit-deployment"}
DOCKER = {"docker-client", "images", "on-host"}


def in_order(steps: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Steps as Cloud Build may start them: after those in ``waitFor``, or all before. A cycle is a ValueError."""
    done: set[str] = set()
    earlier: dict[str, set[str]] = {}
    for index, step in enumerate(steps):
        earlier[step["id"]] = set(step.get("waitFor", [each["id"] for each in steps[:index]])) - {"-"}
    left = list(steps)
    while left:
        ready = next((step for step in left if earlier[step["id"]] <= done), None)
        if ready is None:
            waiting = {step["id"]: sorted(earlier[step["id"]] - done) for step in left}
            raise ValueError(f"these steps wait for each other or for what is not there: {waiting}")
        left.remove(ready)
        done.add(ready["id"])
        yield ready


def substituted(text: str, values: Mapping[str, str]) -> str:
    """``$NAME`` and ``${NAME}`` replaced, again in what replaced them; a name without a value is a KeyError."""
    for _ in range(5):
        if "$" not in text:
            return text
        text = re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: values[match[1] or match[2]], text)
    raise ValueError(f"{text}: substitutions that hold each other")


def values_of(build: Mapping[str, Any]) -> dict[str, str]:
    """Declared substitutions, and stand-ins for those that Cloud Build gives."""
    given = {"PROJECT_ID": "demo-project", "COMMIT_SHA": "0" * 40, "BRANCH_NAME": "local", "TAG_NAME": "v0.0.0"}
    return given | dict(build.get("substitutions", {})) | {"_CACHE": ""}


def run(build: Mapping[str, Any], *, chosen: Mapping[str, str], only: Sequence[str], dry: bool) -> int:
    """Exit code of the first verb that fails, else 0. Substitutions in ``chosen`` win over declared ones."""
    values = values_of(build) | chosen
    docker = dry or subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0
    for step in in_order(build["steps"]):
        name, verbs = step["id"], step["args"]
        if only and name not in only:
            continue
        started = time.monotonic()
        if not docker and DOCKER & set(verbs):
            print(f"{name}: LEFT OUT, no Docker daemon answers", flush=True)
            continue
        replaced = dry or bool(GOOGLE_CLOUD & set(verbs))
        settings = dict(substituted(pair, values).split("=", 1) for pair in step.get("env", []))
        print(f"{name}: make {' '.join(verbs)}{', replaced' if replaced else ''}", flush=True)
        command = ["make", "--no-print-directory", *(["--dry-run"] if replaced else []), *verbs]
        code = subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, check=False).returncode
        if code != 0:
            print(f"{name}: failed with exit code {code}", file=sys.stderr)
            return code
        print(f"{name}: ok, {time.monotonic() - started:.1f} s", flush=True)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a Cloud Build file on this machine.")
    parser.add_argument("file", type=Path, nargs="?", default=ROOT / "cloudbuild.yaml")
    parser.add_argument("--dry-run", action="store_true", help="print what every verb would do, run nothing")
    parser.add_argument("--steps", nargs="*", default=[], help="only these steps, by id")
    parser.add_argument("--substitutions", nargs="*", default=[], metavar="_NAME=VALUE", help="in place of the file's")
    options = parser.parse_args()
    build = yaml.safe_load(options.file.read_text())
    chosen = dict(pair.partition("=")[::2] for pair in options.substitutions)
    if undeclared := set(chosen) - set(values_of(build)):
        parser.error(f"{options.file} has no substitution {', '.join(sorted(undeclared))}")
    unknown = set(options.steps) - {step["id"] for step in build["steps"]}
    if unknown:
        parser.error(f"no step {', '.join(sorted(unknown))}; there are {', '.join(s['id'] for s in build['steps'])}")
    return run(build, chosen=chosen, only=options.steps, dry=options.dry_run)


if __name__ == "__main__":
    sys.exit(main())
