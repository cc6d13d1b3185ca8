"""The command line as a person uses it: a process, its output, its exit status."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INTERLOCK = Path(sys.executable).with_name("interlock")


def interlock(*arguments, timeout=120, cwd=ROOT):
    """Run the command line; returns the finished process with its text."""
    command = [str(INTERLOCK), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture(scope="session")
def flights():
    return ROOT / "examples" / "flights"
