"""Real controllers, really killed: a small version of benchmarks/crash.py."""

import pytest

from interlock.rehearsal.crash import trials
from interlock.rehearsal.stage import stage

SOUND = [(place, False) for place in (2, 4, 7, 11, 17, 26, 0)]
WORSE = [(place, True) for place in (3, 6, 12, 15, 18, 0)]


@pytest.mark.slow
def test_traffic_and_alias_agree_wherever_a_controller_is_killed(tmp_path):
    with stage(tmp_path) as ground:
        done = list(trials(ground, iter([*SOUND, *WORSE, (10_000, False), (10_000, True)])))
    assert [trial.problem for trial in done] == [""] * len(done), done
    assert sum(trial.died for trial in done) >= len(SOUND) + len(WORSE) - 2  # a random time may be too late
    assert [trial.outcome for trial in done[-2:]] == ["promoted", "rolled back"]  # those that nobody killed
