"""Killed at any moment and started again: nothing half there, nothing running for ever, everything served."""

import http.client
import os
import random
import signal
import threading
import time
import urllib.error

KILLS = 6


def work_until_killed(emulator, done, number, base):
    """Upload, move aliases, shift and deploy until the emulator is gone; what was answered goes to ``done``."""
    endpoint, old, model = base
    try:
        for turn in range(10_000):
            alias = f"a{number}-{turn}"
            body = {"model": {"displayName": "crash", "versionAliases": [alias]}, "parentModel": model}
            status, operation = emulator.request("POST", "models:upload", body)
            assert status == 200, operation
            done.append((alias, operation["response"]["modelVersionId"]))
            if number == 0:
                emulator.request("POST", f"endpoints/{endpoint}:deployModel", {"deployedModel": {"model": model}})
                time.sleep(0.05)
            if number == 1:
                body = {"trafficSplit": {old: 100}}
                emulator.request("PATCH", f"endpoints/{endpoint}?updateMask=trafficSplit", body)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError):
        pass


def check(emulator, done, base, gone):
    """The rules that hold after any restart."""
    endpoint, old, model = base
    operations = emulator.request("GET", "operations?pageSize=1000")[1]["operations"]
    assert all(operation["done"] for operation in operations)
    assert all(("error" in operation) != ("response" in operation) for operation in operations)
    path = model.partition("/us-central1/")[2]
    for alias, version in done[-50:]:
        status, held = emulator.request("GET", f"{path}@{alias}")
        assert (status, held.get("versionId")) == (200, version), "what was answered is kept"
    found = emulator.request("GET", f"endpoints/{endpoint}")[1]
    ids = {entry["id"] for entry in found["deployedModels"]}
    assert set(found["trafficSplit"]) <= ids
    assert sum(found["trafficSplit"].values()) == 100
    succeeded = {
        operation["response"]["deployedModel"]["id"]
        for operation in operations
        if operation.get("response", {}).get("@type", "").endswith("DeployModelResponse")
    }
    assert ids == succeeded - gone, "deployed is what an operation said, and nothing else"
    status, answer = emulator.request("POST", f"endpoints/{endpoint}:predict", {"instances": [[1]]})
    assert (status, answer["deployedModelId"]) == (200, old)


def test_killed_again_and_again(new_emulator):
    emulator = new_emulator()
    endpoint = emulator.deployed()
    entry = emulator.request("GET", f"endpoints/{endpoint}")[1]["deployedModels"][0]
    base = (endpoint, entry["id"], entry["model"])
    gone = set()
    random.seed(7)
    for _ in range(KILLS):
        done = []
        workers = [
            threading.Thread(target=work_until_killed, args=(emulator, done, number, base)) for number in range(3)
        ]
        for worker in workers:
            worker.start()
        time.sleep(random.uniform(0.05, 0.6))
        emulator.stop(signal.SIGKILL)
        for worker in workers:
            worker.join()
        emulator.start()
        check(emulator, done, base, gone)
        entries = emulator.request("GET", f"endpoints/{endpoint}")[1]["deployedModels"]
        for extra in [each["id"] for each in entries if each["id"] != base[1]]:
            body = {"deployedModelId": extra}
            emulator.finished(emulator.request("POST", f"endpoints/{endpoint}:undeployModel", body))
            gone.add(extra)


def test_a_server_that_hangs_is_taken_out_and_started_again(emulator, wait_until):
    endpoint = emulator.deployed(replicas=2)

    def ask():
        status, answer = emulator.request("POST", f"endpoints/{endpoint}:predict", {"instances": [[1]]})
        assert status == 200, answer
        return answer["predictions"][0]["pid"]

    pids = {ask() for _ in range(4)}
    assert len(pids) == 2
    hung = pids.pop()
    os.kill(hung, signal.SIGSTOP)
    wait_until(lambda: _server(emulator, hung) is None or not _server(emulator, hung)["ready"])
    assert {ask() for _ in range(6)} == pids
    wait_until(lambda: _server(emulator, hung) is None)
    wait_until(lambda: len({ask() for _ in range(4)}) == 2)


def _server(emulator, pid):
    return next((server for server in emulator.health()["servers"] if server["pid"] == pid), None)


def test_a_server_that_cannot_live_is_started_with_back_off(emulator, wait_until):
    endpoint = emulator.deployed()
    deployed = emulator.request("GET", f"endpoints/{endpoint}")[1]["deployedModels"][0]["id"]

    def restarts():
        return next(each for each in emulator.health()["servers"] if each["deployedModelId"] == deployed)["restarts"]

    emulator.request("POST", f"endpoints/{endpoint}:predict", {"instances": ["exit"]})
    wait_until(lambda: restarts() >= 1)
    wait_until(lambda: emulator.request("POST", f"endpoints/{endpoint}:predict", {"instances": [[1]]})[0] == 200)
    began = time.monotonic()
    before = restarts()
    emulator.request("POST", f"endpoints/{endpoint}:predict", {"instances": ["exit"]})
    wait_until(lambda: restarts() > before)
    assert time.monotonic() - began > 0.2, "the second start waits longer"
