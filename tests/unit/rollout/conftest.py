"""A small world for rollouts: a real SQLite warehouse, an endpoint, a registry and a clock kept as state."""

import json
import random

import msgspec
import pytest

from interlock.config import CanaryStep, Cost, Metric, PostDeploy, Strategy
from interlock.errors import ConcurrentChange
from interlock.rollout.checks import Source
from interlock.rollout.controller import Rollout
from interlock.rollout.journal import RolloutJournal
from interlock.rollout.ports import EndpointState
from interlock.rollout.settlement import Ports
from interlock.warehouse import open_warehouse, outcomes, request_response_log

METRICS = [
    Metric(name="cost", value="cost", role="business", weight=4, cap=5.0),
    Metric(name="errors", value="error", role="guardrail"),
    Metric(name="slow", value="slow", role="guardrail", slow_ms=100),
]
COST = Cost(false_positive=1, false_negative=5)
STRATEGY = Strategy(
    steps=[
        CanaryStep(weight=10, margin=0.9, minimum_requests=500, deadline_seconds=900),
        CanaryStep(weight=50, margin=0.6, minimum_requests=500, deadline_seconds=900),
    ],
    attribution_seconds=5,
    check_seconds=10,
)
POST_DEPLOY = PostDeploy(minimum_requests=500, deadline_seconds=300, margin=0.3)


class Crash(Exception):
    """The process dies here."""


class Fuse:
    """Counts the places where a process can die, and dies at the ``at``-th."""

    def __init__(self):
        self.at, self.count = None, 0

    def step(self):
        self.count += 1
        if self.count == self.at:
            raise Crash(f"at place {self.at}")


class FakeEndpoint:
    def __init__(self, log, fuse):
        self.traffic, self.versions, self.generation = {"b": 100}, {"b": "1", "c": "2"}, 0
        self.log, self.fuse = log, fuse
        self.before_read, self.before_write = [], []  # what others do just before we read or write

    def read(self):
        if self.before_read:
            self.before_read.pop(0)()
        return EndpointState(etag=str(self.generation), traffic=dict(self.traffic), versions=dict(self.versions))

    def set_traffic(self, traffic, etag):
        if self.before_write:
            self.before_write.pop(0)(self)
        if etag != str(self.generation):
            raise ConcurrentChange("endpoint: etag is stale; read it again")
        assert sum(traffic.values()) in (0, 100)
        assert set(traffic) <= set(self.versions)
        self.fuse.step()
        self.change(traffic)
        self.log.append(f"traffic {traffic}")
        self.fuse.step()

    def change(self, traffic):
        self.traffic, self.generation = dict(traffic), self.generation + 1

    def undeploy(self, deployed_model_id):
        assert not self.traffic.get(deployed_model_id)
        self.fuse.step()
        del self.versions[deployed_model_id]
        self.generation += 1
        self.log.append(f"undeploy {deployed_model_id}")
        self.fuse.step()


class FakeRegistry:
    def __init__(self, log, fuse):
        self.aliases = {"production": "1", "staging": "2", "previous": "0"}
        self.quarantined, self.log, self.fuse = set(), log, fuse

    def version_with(self, alias):
        return self.aliases.get(alias)

    def set_alias(self, version, alias):
        self.fuse.step()
        self.aliases[alias] = version
        self.log.append(f"{alias} -> {version}")
        self.fuse.step()

    def remove_alias(self, version, alias):
        self.fuse.step()
        if self.aliases.get(alias) == version:
            del self.aliases[alias]
        self.log.append(f"{alias} removed")
        self.fuse.step()

    def quarantine(self, version):
        self.fuse.step()
        self.quarantined.add(version)
        self.log.append(f"quarantine {version}")
        self.fuse.step()


class FakeClock:
    def __init__(self):
        self.time, self.on_sleep = 1_000_000.0, []

    def now(self):
        return self.time

    def sleep(self, seconds):
        began = self.time
        self.time += seconds
        for action in list(self.on_sleep):
            action(began, self.time)


class Behaviour(msgspec.Struct):
    """How a version answers: shares of its mistakes, of failures, and of answers whose outcome arrives."""

    false_positive: float = 0.2
    false_negative: float = 0.1
    failed: float = 0.0
    outcome_share: float = 1.0


class FakeRescorer:
    """The champion's model: on rows that turned out positive it misses as often as its behaviour says."""

    def __init__(self, world):
        self.world = world

    def labels(self, version, instances):
        champion, candidate = self.world.behaviour["b"], self.world.behaviour["c"]
        missed = min(1.0, champion.false_negative / max(candidate.false_negative, 1e-9))
        chance = random.Random(7)
        return [
            int(chance.random() >= missed)
            if self.world.truth[instance["row_key"]]
            else int(chance.random() < champion.false_positive)
            for instance in instances
        ]


class World:
    """Traffic that flows while the clock sleeps, routed by the endpoint's weights."""

    def __init__(self, folder, *, strategy=STRATEGY, per_second=100, seed=1, metrics=METRICS):
        folder.mkdir()
        self.engine = open_warehouse(f"sqlite:///{folder / 'warehouse.db'}")
        self.log, self.fuse, self.clock = [], Fuse(), FakeClock()
        self.endpoint, self.registry = FakeEndpoint(self.log, self.fuse), FakeRegistry(self.log, self.fuse)
        self.strategy, self.per_second, self.random = strategy, per_second, random.Random(seed)
        self.metrics = metrics
        self.behaviour, self.truth = {"b": Behaviour(), "c": Behaviour()}, {}
        self.clock.on_sleep.append(self.serve)

    def serve(self, began, until):
        n = round((until - began) * self.per_second)
        names, weights = list(self.endpoint.traffic), list(self.endpoint.traffic.values())
        if not names:
            return
        arms = self.random.choices(names, weights, k=n)
        self.insert(arms, [began + (i + 0.5) / self.per_second for i in range(n)])

    def insert(self, arms, times):
        requests, truths = [], []
        for arm, when in zip(arms, times, strict=True):
            b, u = self.behaviour[arm], self.random.random()
            label, outcome = (1, 0) if u < b.false_positive else (0, int(u < b.false_positive + b.false_negative))
            failed = self.random.random() < b.failed
            key = f"{when:.6f}"
            self.truth[key] = outcome
            requests.append(
                {
                    "endpoint": "e",
                    "deployed_model_id": arm,
                    "model_version": self.endpoint.versions.get(arm, ""),
                    "logging_time": when,
                    "request_id": key,
                    "request_payload": json.dumps([{"row_key": key}]),
                    "response_payload": "[]" if failed else json.dumps([{"probability": 0.5, "label": label}]),
                    "status": 500 if failed else 200,
                    "latency_ms": 5.0,
                }
            )
            if self.random.random() < b.outcome_share:
                truths.append({"row_key": key, "outcome": outcome, "time": when})
        with self.engine.begin() as connection:
            if requests:
                connection.execute(request_response_log.insert(), requests)
            if truths:
                connection.execute(outcomes.insert(), truths)

    def process(self):
        """What a new process builds: nothing is remembered but journal, endpoint and registry."""

        def now():
            self.fuse.step()
            return self.clock.now()

        journal = RolloutJournal(self.engine, "r1", now=now)
        ports = Ports(journal, self.endpoint, self.registry, self.clock, FakeRescorer(self))
        source = Source(self.engine, "e", self.metrics, COST, self.strategy.attribution_seconds)
        return Rollout(ports, source, self.strategy)

    def dies(self, action, place):
        """Run ``action`` in a process that dies at its ``place``-th write; whether it got that far."""
        self.fuse.count, self.fuse.at = 0, place
        try:
            action()
        except Crash:
            return True
        finally:
            self.fuse.at = None
        return False

    def begin(self):
        self.process().begin("1", "2", "b", "c")

    def drive(self):
        """The deployment pipeline: every task a process of its own. Outcomes of the tasks."""
        self.begin()
        seen = []
        for step in range(4):
            self.process().shift(step)
            seen.append(self.process().judge(step))
        seen.append(self.process().promote())
        seen.append(self.process().evaluate(POST_DEPLOY))
        return seen

    def events(self):
        return [entry.event for entry in self.process().ports.journal.entries()]

    def named(self, tag):
        return [event for event in self.events() if event.__struct_config__.tag == tag]

    def agrees(self):
        """Traffic and alias on the same version."""
        holders = [self.endpoint.versions[name] for name, percent in self.endpoint.traffic.items() if percent]
        production = self.registry.aliases.get("production")
        return holders == ([production] if production else [])


@pytest.fixture
def make_world(tmp_path):
    made = []

    def make(**options):
        made.append(World(tmp_path / str(len(made)), **options))
        return made[-1]

    yield make
    for world in made:
        world.engine.dispose()


@pytest.fixture
def world(make_world):
    return make_world()
