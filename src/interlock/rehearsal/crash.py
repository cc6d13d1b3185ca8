"""Kills controllers of rollouts, really (SIGKILL), and looks whether traffic and alias still agree.

Every controller is a process of its own and drives a whole rollout on an emulator: endpoint, registry and journal
are real. The serving log is written by this process, by the split the endpoint has at that moment, because whole
rollouts must end within a second. After each kill a fresh process settles, as a pipeline's exit handler does;
sometimes it is killed too, and the next one settles.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from typing import Any

import msgspec

from interlock.contracts import ModelVersion, Place
from interlock.errors import EndpointError
from interlock.registry.aliases import PRODUCTION
from interlock.rehearsal.stage import CONFIG, Stage
from interlock.rollout.emergency import shares
from interlock.rollout.journal import RolloutJournal
from interlock.rollout.state import fold
from interlock.warehouse import open_warehouse, outcomes, request_response_log

ROWS, EVERY_SECONDS = 150, 0.03
FALSE_POSITIVE, FALSE_NEGATIVE, WORSE_FALSE_NEGATIVE = 0.1, 0.05, 0.35
LIMIT_SECONDS = 60.0


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One rollout that was killed: where (``place`` 0 = at a random time), how it ended and whether all agree."""

    place: int
    worse: bool
    died: bool
    outcome: str
    problem: str


def trials(stage: Stage, places: Iterator[tuple[int, bool]], seed: int = 1) -> Iterator[Trial]:
    """A trial per (place, whether the candidate is worse): killed at the place-th write, 0 = at a random time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["interlock.vertex.rollout", "google.cloud.aiplatform_v1"])
    versions = [stage.upload("sound"), stage.upload("sound")]
    chance = random.Random(seed)
    with Feed(stage) as feed:
        for number, (place, worse) in enumerate(places):
            champion, candidate = versions
            deployed = stage.ready(champion, candidate)
            feed.worse = candidate.version if worse else ""
            trial = _Trial(stage, f"trial-{number}", champion, candidate, deployed)
            died = trial.run(context.Process, place, chance)
            settled = trial.settle(context.Process, chance)
            yield Trial(place=place, worse=worse, died=died, outcome=settled, problem=trial.problem(worse))
            if stage.registry.version_with(PRODUCTION) == candidate.version:
                versions = [candidate, champion]


class _Trial:
    def __init__(
        self, stage: Stage, name: str, champion: ModelVersion, candidate: ModelVersion, deployed: tuple[str, str]
    ) -> None:
        self._stage, self._name = stage, name
        self._versions, self._deployed = (champion, candidate), deployed

    def run(self, process: Callable[..., ForkServerProcess], place: int, chance: random.Random) -> bool:
        """The controller, until it is killed or done; whether it was killed."""
        champion, candidate = self._versions
        arguments = (self._stage.place, self._name, champion.version, candidate.version, self._deployed, place)
        controller = process(target=drive, args=arguments)
        controller.start()
        controller.join(LIMIT_SECONDS if place else chance.uniform(0.3, 4.0))
        if controller.is_alive():
            controller.kill()
            controller.join()
        return controller.exitcode == -signal.SIGKILL

    def settle(self, process: Callable[..., ForkServerProcess], chance: random.Random) -> str:
        """Settle in new processes, the first of which may be killed as well; the outcome."""
        for place in ([chance.randint(1, 8)] if chance.random() < 0.3 else []) + [0]:
            settling = process(target=settle, args=(self._stage.place, self._name, place))
            settling.start()
            settling.join(LIMIT_SECONDS)
            if settling.is_alive():
                settling.kill()
                settling.join()
        state = self._state()
        return state.settled.outcome if state.settled else str(state.phase)

    def problem(self, worse: bool) -> str:
        """What is not as it must be, '' if all is."""
        found = self._stage.endpoint.read()
        production = self._stage.registry.version_with(PRODUCTION)
        champion, candidate = (version.version for version in self._versions)
        state = self._state()
        if shares(found) != {production: 100}:
            return f"traffic {shares(found)}, alias on {production}"
        if state.started is not None and state.settled is None:
            return f"not settled: {state.phase}"
        if production == candidate:
            if worse:
                return "the worse candidate is in production"
            if len(state.passed) < len(self._stage.config.strategy.steps):
                return f"promoted after {len(state.passed)} steps"
        elif production != champion:
            return f"{production} is in production"
        return ""

    def _state(self) -> Any:
        engine = open_warehouse(self._stage.place.warehouse)
        try:
            return fold(RolloutJournal(engine, self._name).entries())
        finally:
            engine.dispose()


class Feed:
    """The serving log and the outcomes, written as if the endpoint had answered. A context manager."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self.worse = stage, ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _write(self) -> None:
        engine, chance, number = open_warehouse(self._stage.place.warehouse), random.Random(5), 0
        while not self._stop.wait(EVERY_SECONDS):
            found = self._stage.endpoint.find()
            split = {id_: share for id_, share in found.traffic.items() if share} if found else {}
            if found is None or not split:
                continue
            rows, truths = [], []
            for arm in chance.choices(list(split), list(split.values()), k=ROWS):
                number += 1
                version = found.versions[arm]
                log, truth = _row(self._stage.config.name, arm, version, version == self.worse, number, chance)
                rows.append(log)
                truths.append(truth)
            with engine.begin() as connection:
                connection.execute(request_response_log.insert(), rows)
                connection.execute(outcomes.insert(), truths)
        engine.dispose()


def _row(
    endpoint: str, arm: str, version: str, worse: bool, number: int, chance: random.Random
) -> tuple[dict[str, Any], dict[str, Any]]:
    missed, u, key = WORSE_FALSE_NEGATIVE if worse else FALSE_NEGATIVE, chance.random(), f"crash-{number}"
    label, truth = (1, 0) if u < FALSE_POSITIVE else (0, int(u < FALSE_POSITIVE + missed))
    log = {
        "endpoint": endpoint,
        "deployed_model_id": arm,
        "model_version": version,
        "logging_time": time.time(),
        "request_id": key,
        "request_payload": f'[{{"row_key":"{key}"}}]',
        "response_payload": f'[{{"probability":0.5,"label":{label}}}]',
        "status": 200,
        "latency_ms": 5.0,
    }
    return log, {"row_key": key, "outcome": truth, "time": time.time()}


# --- what the killed processes run -----------------------------------------------------------------------


class Fuse:
    """Kills this process at the ``place``-th boundary; 0 never."""

    def __init__(self, place: int) -> None:
        self._left = place

    def step(self) -> None:
        """A boundary."""
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Fused:
    """A port with a boundary before and after every write."""

    def __init__(self, port: Any, fuse: Fuse) -> None:
        self._port, self._fuse = port, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name not in ("set_traffic", "undeploy", "set_alias", "remove_alias", "quarantine"):
            return found

        def call(*arguments: Any) -> Any:
            self._fuse.step()
            done = found(*arguments)
            self._fuse.step()
            return done

        return call


def _open(place: Place, rollout_id: str, kill_at: int) -> Any:
    from interlock.config import parse_config
    from interlock.vertex.rollout import open_rollout

    fuse = Fuse(kill_at)

    def now() -> float:
        fuse.step()  # the journal asks for the time before every entry
        return time.time()

    rollout = open_rollout(place, parse_config(CONFIG), rollout_id)
    ports = rollout.ports
    rollout.ports = msgspec.structs.replace(
        ports,
        journal=RolloutJournal(ports.journal.engine, rollout_id, now),
        endpoint=Fused(ports.endpoint, fuse),
        registry=Fused(ports.registry, fuse),
        rescorer=_Same(),
    )
    return rollout


class _Same:
    """Actors have no model to score with again: the old version would have said 0 to everything."""

    def labels(self, version: str, instances: Any) -> list[int]:
        return [0] * len(instances)


def drive(
    place: Place, rollout_id: str, champion: str, candidate: str, deployed: tuple[str, str], kill_at: int
) -> None:
    """The deployment pipeline in one process: begin, every step, promote, evaluate."""
    rollout = _open(place, rollout_id, kill_at)
    rollout.begin(champion, candidate, *deployed)
    for step in range(len(rollout.strategy.steps)):
        rollout.shift(step)
        if rollout.judge(step) != "continue":
            return
    from interlock.config import parse_config

    rollout.promote()
    rollout.evaluate(parse_config(CONFIG).post_deploy)


def settle(place: Place, rollout_id: str, kill_at: int) -> None:
    """The exit handler."""
    rollout = _open(place, rollout_id, kill_at)
    for _ in range(3):
        try:
            rollout.settle()
            return
        except EndpointError:
            time.sleep(0.1)  # the operation of a killed process is still under way
    rollout.settle()
