"""Controllers killed (SIGKILL) at every write of a rollout, and at random; the last line is JSON.

A sound and a worse candidate in turn, each killed at its 1st, 2nd, 3rd ... boundary until one gets through, then at
random times until ``--kills`` are reached. ``disagreements``: after a fresh process has settled, traffic and alias
``production`` are not on one version, or on one that did not pass.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from interlock.rehearsal.crash import Trial, trials
from interlock.rehearsal.stage import stage


class Places:
    """Which place to kill next, told how the last trial went."""

    def __init__(self, kills: int, seconds: float) -> None:
        self._wanted, self.kills, self._swept = kills, 0, {False: 0, True: 0}
        self._until = time.monotonic() + seconds
        self._through: set[bool] = set()

    def __iter__(self) -> Iterator[tuple[int, bool]]:
        for worse in (False, True):
            while worse not in self._through and not self.late:
                self._swept[worse] += 1
                yield self._swept[worse], worse
        while self.kills < self._wanted and not self.late:
            yield 0, self.kills % 2 == 0

    def saw(self, trial: Trial) -> None:
        self.kills += trial.died
        if not trial.died and trial.place:
            self._through.add(trial.worse)

    @property
    def late(self) -> bool:
        return time.monotonic() > self._until

    @property
    def boundaries(self) -> int:
        return sum(self._swept.values()) - len(self._through)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop then, with what there is")
    options = parser.parse_args()
    places, ends, disagreements = Places(options.kills, options.seconds), collections.Counter(), []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder)) as ground:
        for trial in trials(ground, iter(places)):
            places.saw(trial)
            ends[trial.outcome] += 1
            if ends.total() % 25 == 0:
                print(f"{places.kills} kills, {len(disagreements)} disagreements", file=sys.stderr, flush=True)
            if trial.problem:
                disagreements.append(trial)
                print(trial, file=sys.stderr, flush=True)
    result = {
        "kills": places.kills,
        "disagreements": len(disagreements),
        "boundaries": places.boundaries,
        "ends": dict(ends),
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(result))
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
