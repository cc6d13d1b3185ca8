"""A run as it would be written down: first version, a promotion, and a rollback."""

from __future__ import annotations

import msgspec
import pytest

from interlock.config import Config, load_config
from interlock.report import RolloutReport, RunReport, VersionReport

from .judged_version import EXAMPLE, version
from .simulated_rollout import BEGAN, Simulation


@pytest.fixture(scope="session")
def config() -> Config:
    return load_config(EXAMPLE)


@pytest.fixture(scope="session")
def first(config: Config) -> RolloutReport:
    """No champion yet."""
    simulation = Simulation(config, champion="", candidate="1", miss=0.05, seed=1)
    return simulation.report("Version 1 goes first")


@pytest.fixture(scope="session")
def promoted(config: Config) -> RolloutReport:
    """A sound candidate."""
    simulation = Simulation(config, champion="1", candidate="2", miss=0.048, seed=2)
    return simulation.report("Version 2 against version 1")


@pytest.fixture(scope="session")
def rolled_back(config: Config) -> RolloutReport:
    """A candidate that misses three times as many late flights."""
    simulation = Simulation(config, champion="2", candidate="3", miss=0.15, seed=3)
    return simulation.report("Version 3 against version 2")


@pytest.fixture(scope="session")
def run(config: Config, first: RolloutReport, promoted: RolloutReport, rolled_back: RolloutReport) -> RunReport:
    """The main job."""
    return RunReport(
        title="Flights: from a table to a canary",
        started=BEGAN - 60,
        seconds=154.0,
        versions=[
            version(config, "1", "months 1-6", months=6, auc=0.921, cost=0.348, aliases=["previous"]),
            version(config, "2", "retrained, months 1-8", months=8, auc=0.923, cost=0.341, aliases=["production"]),
            version(config, "3", "with air_time, months 1-8", months=8, auc=0.952, cost=0.262, aliases=[]),
        ],
        rollouts=[first, promoted, rolled_back],
    )


@pytest.fixture
def kept_out(run: RunReport) -> VersionReport:
    """A version that a gate closed on."""
    good = run.versions[1]
    rules = [
        msgspec.structs.replace(rule, verdict="fail", reason="auc 0.7810, lower 95 % bound 0.7770 < 0.85")
        if (rule.rule, rule.slice) == ("auc", "")
        else rule
        for rule in good.gates.rules
    ]
    gates = msgspec.structs.replace(good.gates, passed=False, rules=rules)
    return msgspec.structs.replace(good, version="", title="months 1-2", aliases=[], gates=gates)
