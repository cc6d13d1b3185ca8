"""The emulator as a process: start, lock, kill, restart, end."""

import json
import os
import signal
import subprocess
import sys


def pid_of_server(emulator, endpoint):
    status, answer = emulator.request("POST", f"endpoints/{endpoint}:predict", {"instances": [[1]]})
    assert status == 200, answer
    return answer["predictions"][0]["pid"]


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with open(f"/proc/{pid}/stat") as file:
        return file.read().split()[2] == "Z"


def test_ready_file_says_what_was_printed(emulator):
    assert json.loads((emulator.state / "emulator.json").read_bytes()) == emulator.ready
    assert emulator.ready["pid"] == emulator.process.pid
    assert emulator.ready["url"] == f"http://127.0.0.1:{emulator.ready['port']}"


def test_second_emulator_on_one_folder_refuses_in_one_line(emulator):
    second = emulator.run_again()
    assert second.returncode == 1
    assert second.stdout == ""
    assert len(second.stderr.strip().splitlines()) == 1
    assert str(emulator.process.pid) in second.stderr
    assert emulator.request("GET", "models")[0] == 200


def test_host_beyond_loopback_is_refused(emulator):
    refused = emulator.run_again("--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "--allow-remote" in refused.stderr


def test_sigterm_ends_servers_and_removes_the_ready_file(new_emulator):
    emulator = new_emulator()
    pid = pid_of_server(emulator, emulator.deployed())
    assert emulator.stop() == 0
    assert is_gone(pid)
    assert not (emulator.state / "emulator.json").exists()


def test_killed_emulator_takes_its_servers_along_and_brings_them_back(new_emulator, wait_until):
    emulator = new_emulator()
    endpoint = emulator.deployed(logging={"enabled": True})
    before = emulator.request("GET", f"endpoints/{endpoint}")[1]
    pid = pid_of_server(emulator, endpoint)
    emulator.stop(signal.SIGKILL)
    wait_until(lambda: is_gone(pid))
    emulator.start()
    assert emulator.request("GET", f"endpoints/{endpoint}")[1] == before
    assert pid_of_server(emulator, endpoint) != pid


def test_operation_running_at_a_kill_ends_in_an_error(new_emulator):
    emulator = new_emulator()
    endpoint = emulator.deployed()
    model = emulator.request("GET", f"endpoints/{endpoint}")[1]["deployedModels"][0]["model"]
    body = {"deployedModel": {"model": model}, "trafficSplit": {}}
    operation = emulator.request("POST", f"endpoints/{endpoint}:deployModel", body)[1]
    assert not operation["done"]
    emulator.stop(signal.SIGKILL)
    emulator.start()
    after = emulator.request("GET", operation["name"].partition("/us-central1/")[2])[1]
    assert after["done"]
    deployed = emulator.request("GET", f"endpoints/{endpoint}")[1]["deployedModels"]
    assert len(deployed) == (1 if "error" in after else 2)


def test_emulator_imports_no_client_and_no_learning_library():
    code = (
        "import sys, interlock.emulator.__main__, interlock.local.environments, interlock.local.parameters\n"
        "heavy = ('google.cloud.aiplatform', 'google.cloud.storage', 'kfp', 'sklearn', 'pandas', 'numpy')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
