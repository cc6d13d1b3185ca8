import pytest

from interlock.emulator.rpc import RpcError
from interlock.emulator.store import Store, public


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "emulator.db")
    yield store
    store.close()


def test_every_write_has_a_new_etag(store):
    first = store.put("model", {"name": "m", "a": 1})["etag"]
    assert store.put("model", {"name": "m", "a": 2})["etag"] != first
    assert store.get("m")["a"] == 2


def write_two_and_fail(store):
    with store.transaction():
        store.put("model", {"name": "a"})
        store.put("model", {"name": "b"})
        raise RpcError("ABORTED", "no")


def test_transaction_is_all_or_nothing(store):
    with pytest.raises(RpcError):
        write_two_and_fail(store)
    assert store.all("model") == []


def test_delete_takes_what_is_below_but_not_beside(store):
    for name in ("m", "m/evaluations/1", "m/evaluations/1/slices/2", "m2", "m2/evaluations/1"):
        store.put("thing", {"name": name})
    store.delete("m")
    assert {document["name"] for document in store.all("thing")} == {"m2", "m2/evaluations/1"}


def test_all_is_newest_first_below_a_parent(store):
    for name in ("p/1", "q/1", "p/2"):
        store.put("thing", {"name": name})
    store.put("thing", {"name": "p/1", "changed": True})
    assert [document["name"] for document in store.all("thing", "p")] == ["p/2", "p/1"]


def test_state_survives_reopening(tmp_path):
    store = Store(tmp_path / "emulator.db")
    store.put("model", {"name": "m", "text": "käse"})
    again = Store(tmp_path / "emulator.db")
    assert again.get("m")["text"] == "käse"
    store.close()
    again.close()


def test_public_hides_own_keys():
    assert public({"a": 1, "_b": 2}) == {"a": 1}
