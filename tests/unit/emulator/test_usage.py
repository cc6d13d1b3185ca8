"""What servers use, read from real processes."""

import os
import subprocess
import sys

import pytest

from interlock.emulator.usage import used

GRANDCHILD = "held = bytearray(80_000_000); print(flush=True); input()"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GRANDCHILD!r}])"


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="Linux only")
def test_workers_count():
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()  # the memory is taken
        memory, seconds = used(process.pid)
        process.communicate("\n")
    assert memory > 80
    assert seconds >= 0


def test_a_process_that_is_gone_uses_nothing():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert used(process.pid) == (0.0, 0.0)
    assert used(0) == (0.0, 0.0)
