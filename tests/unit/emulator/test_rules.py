"""Random sequences of registry and endpoint calls against a plain model of the rules, restarts included."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from interlock.emulator.call import Call
from interlock.emulator.dedicated import DedicatedPort
from interlock.emulator.endpoints import Endpoints
from interlock.emulator.models import Models
from interlock.emulator.names import Location
from interlock.emulator.operations import Operations
from interlock.emulator.rpc import RpcError
from interlock.emulator.store import Store

LOCATION = Location("p", "us-central1")
ALIASES = ["default", "staging", "production", "previous"]
CONTAINER = {"imageUri": "interlock-ml"}


class Servers:
    """Deployments that start and stop at once."""

    def __init__(self):
        self.running = set()
        self.routes = {}
        self.refuse = False

    async def prepare(self, entry, model, version):
        return entry["id"]

    async def start(self, identifier):
        await asyncio.sleep(0)
        if self.refuse:
            raise RpcError("FAILED_PRECONDITION", "the model is broken")
        self.running.add(identifier)

    def resume(self, identifier):
        self.running.add(identifier)

    async def stop(self, identifier):
        self.running.discard(identifier)

    def route(self, endpoint):
        self.routes[endpoint["name"]] = endpoint["trafficSplit"]

    def unroute(self, identifier):
        self.routes.pop(LOCATION.name("endpoints", identifier))


class Rules(RuleBasedStateMachine):
    """``models``: name -> {version: aliases}; ``endpoints``: name -> (deployed id -> version name, split)."""

    models_made = Bundle("models_made")
    endpoints_made = Bundle("endpoints_made")

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.models, self.next_version, self.endpoints = {}, {}, {}
        self.open()

    def open(self):
        self.store = Store(Path(self.folder.name) / "db")
        self.servers = Servers()
        self.operations = Operations(self.store, LOCATION)
        self.registry = Models(self.store, LOCATION, self.operations)
        dedicated = DedicatedPort(Path(self.folder.name) / "tls", ("127.0.0.1", 0))  # no endpoint here is dedicated
        self.service = Endpoints(self.store, LOCATION, self.operations, self.registry, self.servers, dedicated)

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()
            self.loop.close()
            self.folder.cleanup()

    def call(self, handler, *ids, body=None, **query):
        """The answer, or the status of the error. An operation is waited for, and gives its response or status."""

        async def run():
            answer = handler(Call(version="v1", ids=ids, query=query, body=body or {}))
            while "done" in answer and not answer["done"]:
                await asyncio.sleep(0)
                answer = self.store.get(answer["name"])
            return answer

        try:
            answer = self.loop.run_until_complete(run())
        except RpcError as error:
            return error.status
        if "done" in answer:
            return answer["error"]["code"] if "error" in answer else answer["response"]
        return answer

    # --- models ----------------------------------------------------------------------------------------

    @rule(target=models_made, aliases=st.sets(st.sampled_from(ALIASES)))
    def upload(self, aliases):
        model = {"displayName": "m", "versionAliases": sorted(aliases), "containerSpec": CONTAINER}
        name = self.call(self.registry.upload, body={"model": model})["model"]
        self.models[name] = {"1": {"default", *aliases}}
        self.next_version[name] = 2
        return name

    @rule(name=models_made, aliases=st.sets(st.sampled_from(ALIASES)))
    def upload_version(self, name, aliases):
        model = {"displayName": "m", "versionAliases": sorted(aliases), "containerSpec": CONTAINER}
        answer = self.call(self.registry.upload, body={"model": model, "parentModel": name})
        if name not in self.models:
            assert answer == "NOT_FOUND"
            return
        version = str(self.next_version[name])
        self.next_version[name] += 1
        assert answer["modelVersionId"] == version
        self.models[name][version] = set()
        self.move(name, version, aliases)

    def move(self, name, version, aliases):
        for held in self.models[name].values():
            held.difference_update(aliases)
        self.models[name][version] |= aliases

    @rule(name=models_made, version=st.integers(1, 4), added=st.sets(st.sampled_from(ALIASES)), data=st.data())
    def merge(self, name, version, added, data):
        removed = data.draw(st.sets(st.sampled_from(ALIASES[1:]))) - added
        changes = sorted(added) + [f"-{alias}" for alias in sorted(removed)]
        identifier = f"{name.rpartition('/')[2]}@{version}"
        answer = self.call(self.registry.merge_version_aliases, identifier, body={"versionAliases": changes})
        if str(version) not in self.models.get(name, {}):
            assert answer == "NOT_FOUND"
        elif not changes:
            assert answer == "INVALID_ARGUMENT"
        else:
            self.models[name][str(version)] -= removed
            self.move(name, str(version), added)

    def deployed(self, name):
        return {used for split in self.endpoints.values() for used in split[0].values() if used.startswith(f"{name}@")}

    @rule(name=models_made, version=st.integers(1, 4))
    def delete_version(self, name, version):
        answer = self.call(self.registry.delete_version, f"{name.rpartition('/')[2]}@{version}")
        held = self.models.get(name, {})
        if str(version) not in held:
            assert answer == "NOT_FOUND"
        elif f"{name}@{version}" in self.deployed(name) or len(held) == 1 or "default" in held[str(version)]:
            assert answer == "FAILED_PRECONDITION"
        else:
            del held[str(version)]

    @rule(name=models_made)
    def delete_model(self, name):
        answer = self.call(self.registry.delete, name.rpartition("/")[2])
        if name not in self.models:
            assert answer == "NOT_FOUND"
        elif self.deployed(name):
            assert answer == "FAILED_PRECONDITION"
        else:
            del self.models[name]

    # --- endpoints -------------------------------------------------------------------------------------

    @rule(target=endpoints_made)
    def create_endpoint(self):
        name = self.call(self.service.create, body={"displayName": "e"})["name"]
        self.endpoints[name] = ({}, {})
        return name

    @rule(endpoint=endpoints_made, name=models_made, share=st.integers(0, 100), broken=st.booleans())
    def deploy(self, endpoint, name, share, broken):
        if endpoint not in self.endpoints or name not in self.models:
            return
        deployed, split = self.endpoints[endpoint]
        top = max(split, key=split.get, default="")
        wanted = {"0": 100} if not split else {**dict.fromkeys(split, 0), top: 100 - share, "0": share}
        body = {"deployedModel": {"model": name}, "trafficSplit": wanted}
        self.servers.refuse = broken
        answer = self.call(self.service.deploy_model, endpoint.rpartition("/")[2], body=body)
        self.servers.refuse = False
        if broken:
            assert answer == 9
            return
        version = next(key for key, held in self.models[name].items() if "default" in held)
        new = answer["deployedModel"]["id"]
        deployed[new] = f"{name}@{version}"
        split.clear()
        split.update({new if key == "0" else key: value for key, value in {**wanted}.items()})

    @rule(endpoint=endpoints_made, shares=st.lists(st.integers(-1, 101), min_size=1, max_size=3))
    def shift(self, endpoint, shares):
        if endpoint not in self.endpoints:
            return
        deployed, split = self.endpoints[endpoint]
        wanted = dict(zip([*deployed, "404", "405"], shares, strict=False))
        answer = self.call(
            self.service.update, endpoint.rpartition("/")[2], body={"trafficSplit": wanted}, updateMask="trafficSplit"
        )
        good = set(wanted) <= set(deployed) and all(0 <= share <= 100 for share in shares)
        if good and sum(wanted.values()) == 100:
            split.clear()
            split.update(wanted)
        else:
            assert answer == "INVALID_ARGUMENT"

    @rule(endpoint=endpoints_made, data=st.data())
    def undeploy(self, endpoint, data):
        if endpoint not in self.endpoints or not self.endpoints[endpoint][0]:
            return
        deployed, split = self.endpoints[endpoint]
        gone = data.draw(st.sampled_from(sorted(deployed)))
        body = {"deployedModelId": gone}
        answer = self.call(self.service.undeploy_model, endpoint.rpartition("/")[2], body=body)
        if len(deployed) > 1 and split.get(gone):
            assert answer == "FAILED_PRECONDITION"
            return
        del deployed[gone]
        split.pop(gone, None)
        if not deployed:
            split.clear()

    @rule(endpoint=endpoints_made)
    def delete_endpoint(self, endpoint):
        answer = self.call(self.service.delete, endpoint.rpartition("/")[2])
        if endpoint not in self.endpoints:
            assert answer == "NOT_FOUND"
        elif self.endpoints[endpoint][0]:
            assert answer == "FAILED_PRECONDITION"
        else:
            del self.endpoints[endpoint]

    @rule()
    def restart(self):
        self.store.close()
        self.open()
        self.operations.recover()
        self.loop.run_until_complete(self.service.resume())

    # --- what always holds -----------------------------------------------------------------------------

    @invariant()
    def the_store_is_as_the_rules_say(self):
        if not hasattr(self, "store"):
            return
        query = {"pageSize": "1000"}
        listed = self.registry.list_models(Call(version="v1", ids=(), query=query, body={}))["models"]
        assert {model["name"] for model in listed} == set(self.models)
        for name, held in self.models.items():
            call = Call(version="v1", ids=(name.rpartition("/")[2],), query=query, body={})
            versions = self.registry.list_versions(call)["models"]
            assert {each["versionId"]: set(each["versionAliases"]) for each in versions} == held
            assert sum("default" in aliases for aliases in held.values()) == 1
        endpoints = self.service.list_endpoints(Call(version="v1", ids=(), query=query, body={}))["endpoints"]
        found = {
            each["name"]: (
                {entry["id"]: f"{entry['model']}@{entry['modelVersionId']}" for entry in each["deployedModels"]},
                each["trafficSplit"],
            )
            for each in endpoints
        }
        assert found == self.endpoints
        assert self.servers.routes == {name: split for name, (_, split) in self.endpoints.items()}
        assert self.servers.running == {key for deployed, _ in self.endpoints.values() for key in deployed}
        assert all(sum(split.values()) in (0, 100) for _, split in self.endpoints.values())


TestRules = Rules.TestCase
TestRules.settings = settings(
    max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
