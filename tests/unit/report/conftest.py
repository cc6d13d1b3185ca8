"""A run as it would be written down: first version, a promotion, and a rollback, from simulated requests."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from interlock.config import Config, load_config
from interlock.contracts import (
    Anomaly,
    Comparison,
    DataVerdict,
    Evaluation,
    FeatureDrift,
    GateReport,
    Latency,
    Manifest,
    Measure,
    Verdict,
    VerdictKind,
)
from interlock.gates.judge import judge_candidate
from interlock.report import RolloutReport, RunReport, VersionReport
from interlock.rollout.counts import Arm, Check, Sample
from interlock.rollout.journal import (
    AnyEvent,
    Checked,
    Entry,
    Evaluated,
    Judged,
    Promoted,
    Promoting,
    Quarantined,
    RolledBack,
    RollingBack,
    Settled,
    Started,
    TrafficIntended,
    TrafficSet,
)
from interlock.rollout.strategy import Action, Progress, decide

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights" / "config.yaml"
BEGAN = 1_760_000_000.0
CARRIERS = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"]
ROWS_OF = [3400, 6400, 140, 10800, 9300, 10200, 130, 640, 70, 5000, 6, 11300, 4000, 1000, 2400, 110]


class Simulation:
    """Journals one rollout against simulated traffic; the decisions are the strategy's own."""

    def __init__(self, config: Config, *, champion: str, candidate: str, miss: float, seed: int) -> None:
        self.config, self.miss = config, miss
        self.champion, self.candidate = champion, candidate
        self.random = np.random.default_rng(seed)
        self.time, self.log_id, self.served = BEGAN, 40_000, 0
        self.entries: list[Entry] = []
        self.checks: list[Check] = []

    def write(self, event: AnyEvent) -> None:
        self.entries.append(Entry(number=len(self.entries) + 1, time=self.time, event=event))

    def set_traffic(self, weight: int, step: int) -> None:
        traffic = {f"d{self.champion}": 100 - weight, f"d{self.candidate}": weight}
        traffic = {name: percent for name, percent in traffic.items() if percent}
        self.write(TrafficIntended(step=step, traffic=traffic, log_id=self.log_id))
        self.time += 0.12
        self.write(TrafficSet(step=step, traffic=traffic, log_id=self.log_id))

    def arm(self, n: int, miss: float) -> Arm:
        """0.09 of all flights get a needless warning (cost 1), ``miss`` of them a missed delay (cost 5)."""
        errors, slow = int(self.random.binomial(n, 0.0005)), int(self.random.binomial(n, 0.004))
        vain, missed = self.random.binomial(n - errors, 0.09), self.random.binomial(n - errors, miss)
        cost = Sample(
            n=n - errors,
            nonzero=int(vain + missed),
            total=float(vain + 5 * missed),
            squares=float(vain + 25 * missed),
            levels={1.0: int(vain), 5.0: int(missed)},
        )
        return Arm(
            requests=n,
            answered=n - errors,
            failed=errors,
            with_outcome=n - errors,
            samples={
                "cost_per_flight": cost,
                "error_rate": Sample(n=n, nonzero=errors, total=errors, squares=errors),
                "slow_share": Sample(n=n - errors, nonzero=slow, total=slow, squares=slow),
            },
        )

    def check(self, weight: int) -> Check:
        n = int(self.random.poisson(420))
        mine = int(self.random.binomial(n, weight / 100))
        found = Check(
            after=self.log_id,
            until=self.log_id + n,
            weight=weight,
            champion=self.arm(n - mine, 0.05),
            candidate=self.arm(mine, self.miss),
        )
        self.log_id += n
        self.served += mine
        self.write(Checked(check=found))
        return found

    def start(self) -> None:
        prior = {name: self.arm(20_000, 0.05).sample(name) for name in ("cost_per_flight",)}
        self.write(
            Started(
                endpoint="flights",
                champion_version=self.champion,
                candidate_version=self.candidate,
                champion_deployed=f"d{self.champion}" if self.champion else "",
                candidate_deployed=f"d{self.candidate}",
                traffic={f"d{self.champion}": 100} if self.champion else {},
                prior=prior if self.champion else {},
            )
        )
        self.time += 0.4

    def run(self) -> str:
        """The whole rollout; how it ended."""
        self.start()
        for step, plan in enumerate(self.config.strategy.steps if self.champion else []):
            self.set_traffic(plan.weight, step)
            began = self.time
            while True:
                self.time += self.config.strategy.check_seconds
                self.checks.append(self.check(plan.weight))
                progress = Progress(step=step, seconds_in_step=self.time - began, candidate_requests=self.served)
                decision = decide(self.config.strategy, self.config.metrics, self.checks, progress, self._prior())
                self.write(Judged(step=step, action=decision.action, verdict=decision.verdict))
                if decision.action is Action.ROLL_BACK:
                    return self.roll_back(decision.verdict.reason)
                if decision.action is Action.CONTINUE:
                    break
        return self.promote()

    def _prior(self) -> dict[str, Sample]:
        started = self.entries[0].event
        assert isinstance(started, Started)
        return started.prior

    def promote(self) -> str:
        self.write(Promoting())
        self.set_traffic(100, -1)
        self.write(Promoted(version=self.candidate))
        for _ in range(6):
            self.time += self.config.strategy.check_seconds
            self.check(100)
        verdict = Verdict(
            kind=VerdictKind.HEALTHY,
            metric="",
            reason="2512 requests with outcome >= 2000, no metric shown worse than +30%",
            requests=2512,
            candidate_requests=2512,
        )
        self.write(Evaluated(outcome="passed", verdict=verdict))
        self.write(Settled(outcome="promoted", production=self.candidate))
        return "promoted"

    def roll_back(self, reason: str) -> str:
        self.write(RollingBack(reason=reason))
        self.set_traffic(0, -1)
        self.write(RolledBack(reason=reason, seconds=0.12))
        self.time += 0.6
        self.write(Quarantined(version=self.candidate))
        self.write(Settled(outcome="rolled back", production=self.champion))
        return "rolled back"

    def report(self, title: str) -> RolloutReport:
        outcome = self.run()
        return RolloutReport(
            title=title,
            rollout_id=f"flights-{self.candidate}-1",
            candidate=self.candidate,
            champion=self.champion,
            outcome=outcome,
            entries=self.entries,
            strategy=self.config.strategy,
            metrics=self.config.metrics,
            candidate_requests=self.served,
            seconds_to_restore=0.12 if outcome == "rolled back" else None,
        )


def measures(auc: float, cost: float) -> list[Measure]:
    """All metrics on all rows, AUC and cost on the slices; tiny slices carry no AUC."""
    overall = {"auc": auc, "average_precision": 0.81, "log_loss": 0.31, "brier": 0.094, "precision": 0.62}
    overall |= {"recall": 0.78, "cost": cost}
    found = [
        Measure(metric=metric, n=65_000, value=value, low=value - 0.004, high=value + 0.004)
        for metric, value in overall.items()
    ]
    slices = [*zip([f"carrier={c}" for c in CARRIERS], ROWS_OF, strict=True)]
    slices += [("origin=EWR", 23_000), ("origin=JFK", 22_000), ("origin=LGA", 20_000)]
    random = np.random.default_rng(3)
    for name, n in slices:
        value, half = auc - 0.01 + 0.02 * float(random.standard_normal()), min(0.35 / n**0.5, 0.2)
        known = n >= 100
        found.append(
            Measure(
                metric="auc",
                slice=name,
                n=n,
                value=value if known else None,
                low=value - half if known else None,
                high=min(value + half, 1.0) if known else None,
            )
        )
        found.append(Measure(metric="cost", slice=name, n=n, value=cost, low=cost - half, high=cost + half))
    return found


def latency(model: str, p99: float) -> Latency:
    """One row per request."""
    about = {"p50_ms": 0.61, "p50_low": 0.6, "p50_high": 0.63, "p99_ms": p99, "p99_low": p99 - 0.1}
    return Latency(model=model, rows=1, requests=500, p99_high=p99 + 0.2, **about)


def version(
    config: Config, number: str, title: str, *, months: int, auc: float, cost: float, aliases: list[str]
) -> VersionReport:
    """A version whose gates were really judged."""
    champion = "" if number == "1" else "1"
    digest = (number * 64)[:64]
    rows = {"train": 25_000 * months, "validation": 3_570 * months, "test": 7_140 * months}
    manifest = Manifest(
        name=config.name,
        model_sha256=digest,
        signature_sha256="a" * 64,
        features_sha256="b" * 64,
        table_sha256="c" * 64,
        config_sha256="d" * 64,
        config=EXAMPLE.read_text(encoding="utf-8"),
        seed=config.seed,
        window=["2013-01-01", f"2013-{months + 1:02d}-01"],
        rows=rows,
        git_revision="3f2a9c1",
        lock_sha256="e" * 64,
        libraries={"scikit-learn": "1.9.1", "onnxruntime": "1.24.0", "numpy": "2.4.1"},
        parity_max_difference=3.1e-7,
    )
    verdict = DataVerdict(
        passed=True,
        rows=sum(rows.values()),
        features=13,
        table_sha256="c" * 64,
        schema_sha256="f" * 64,
        anomalies=[
            Anomaly(
                feature="dest",
                rule="unexpected value",
                value="LEX: 1 row",
                limit="104 known values",
                reason="LEX is not in the domain of dest, 1 row <= 0.1 %",
                blocking=False,
                rows=[{"flight": "1407", "dest": "LEX"}],
            )
        ],
        drift=[
            FeatureDrift(feature="temp", divergence=0.031, limit=0.1, alarm=False),
            FeatureDrift(feature="wind_gust", divergence=0.142, limit=0.1, alarm=True),
        ],
    )
    comparisons = [
        Comparison(
            metric=metric,
            n=65_000,
            candidate=mine,
            champion=theirs,
            difference=mine - theirs,
            low=mine - theirs - 0.0015,
            high=mine - theirs + 0.0015,
        )
        for metric, mine, theirs in (
            ("auc", auc, 0.921),
            ("log_loss", 0.31, 0.3105),
            ("brier", 0.094, 0.0965),
            ("cost", cost, 0.348),
        )
    ]
    x = np.linspace(0, 1, 101)
    evaluation = Evaluation(
        model_sha256=digest,
        test_sha256="9" * 64,
        champion=champion,
        rows=65_000,
        threshold=0.1818,
        measures=measures(auc, cost),
        comparisons=comparisons if champion else [],
        slice_comparisons=[
            msgspec.structs.replace(comparisons[0], slice=f"carrier={carrier}", n=n)
            for carrier, n in zip(CARRIERS, ROWS_OF, strict=True)
            if champion
        ],
        confusion=[[44_500, 6_300], [2_900, 11_300]],
        roc=[[float(1 - t), float(t), float(1 - (1 - t**0.42) ** 3.2)] for t in x],
        calibration=[[float(s), float(s) ** 1.05, 6500.0] for s in np.linspace(0.02, 0.93, 10)],
        score_deciles=[0.02, 0.03, 0.05, 0.07, 0.1, 0.16, 0.3, 0.6, 0.9],
        latency_requests=500,
        latency_p50_ms=0.61,
        latency_p99_ms=1.42,
        champion_latency_p99_ms=1.39 if champion else None,
        latencies=[latency("candidate", 1.42), *([latency("champion", 1.39)] if champion else [])],
        latency_p99_ratio=[1.02, 0.91, 1.14] if champion else [],
        memory_bytes=92_000_000,
        size_bytes=842_113,
        load_seconds=0.4,
    )
    gates: GateReport = judge_candidate(config, verdict=verdict, manifest=manifest, evaluation=evaluation)
    return VersionReport(
        version=number,
        title=title,
        window=manifest.window,
        aliases=aliases,
        manifest=manifest,
        verdict=verdict,
        evaluation=evaluation,
        gates=gates,
    )


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
