"""Eight clients at once: no update is lost, and splits always sum to 100."""

import threading
from concurrent.futures import ThreadPoolExecutor

CLIENTS = 8


def at_once(work):
    """Run ``work(number)`` in eight threads that begin together; their results."""
    barrier = threading.Barrier(CLIENTS)

    def run(number):
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(run, range(CLIENTS)))


def test_alias_moves_lose_nothing_and_stay_unique(emulator):
    uploaded = emulator.finished(emulator.request("POST", "models:upload", {"model": {"displayName": "race"}}))
    name = uploaded["response"]["model"]
    path = name.partition("/us-central1/")[2]
    for _ in range(CLIENTS - 1):
        body = {"parentModel": name, "model": {"displayName": "race"}}
        emulator.finished(emulator.request("POST", "models:upload", body))

    def work(number):
        version = number + 1
        for turn in range(20):
            changes = ["hot", f"own-{version}-{turn}"]
            status, answer = emulator.request(
                "POST", f"{path}@{version}:mergeVersionAliases", {"versionAliases": changes}
            )
            assert status == 200, answer
            status, held = emulator.request("GET", f"{path}@hot")
            assert status == 200, "an alias that only moves is never nowhere"
            assert "hot" in held["versionAliases"]

    at_once(work)
    versions = emulator.request("GET", f"{path}:listVersions")[1]["models"]
    assert sum("hot" in version["versionAliases"] for version in versions) == 1
    for version in versions:
        own = [alias for alias in version["versionAliases"] if alias.startswith("own-")]
        assert len(own) == 20


def test_split_updates_with_etags_lose_nothing(emulator):
    endpoint = emulator.deployed()
    old = emulator.request("GET", f"endpoints/{endpoint}")[1]["deployedModels"][0]
    new = emulator.deploy(endpoint, old["model"], {old["id"]: 100, "0": 0})["response"]["deployedModel"]["id"]
    path = f"endpoints/{endpoint}"

    def work(number):
        won = 0
        while won < 10:
            current = emulator.request("GET", path)[1]
            split = current["trafficSplit"]
            assert sum(split.values()) == 100
            share = split[new] + 1
            body = {"trafficSplit": {old["id"]: 100 - share, new: share}, "etag": current["etag"]}
            status, answer = emulator.request("PATCH", f"{path}?updateMask=trafficSplit", body)
            assert status in (200, 409), answer
            won += status == 200
        return won

    assert sum(at_once(work)) == 80
    assert emulator.request("GET", path)[1]["trafficSplit"] == {old["id"]: 20, new: 80}


def test_uploads_of_versions_get_a_number_each(emulator):
    uploaded = emulator.finished(emulator.request("POST", "models:upload", {"model": {"displayName": "many"}}))
    body = {"parentModel": uploaded["response"]["model"], "model": {"displayName": "many"}}

    def work(_number):
        answers = [emulator.request("POST", "models:upload", body)[1] for _ in range(5)]
        return [answer["response"]["modelVersionId"] for answer in answers]

    given = sorted(int(version) for versions in at_once(work) for version in versions)
    assert given == list(range(2, 2 + 5 * CLIENTS))
