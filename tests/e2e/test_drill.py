"""Every fault the drill knows is rolled back by itself, on the real emulator."""

import pytest

from interlock.errors import ConfigError
from interlock.rehearsal.drill import FAULTS, drill


@pytest.mark.slow
def test_every_fault_is_rolled_back(tmp_path):
    done = drill(tmp_path, per_second=300)
    assert [one.fault for one in done] == list(FAULTS)
    assert all(one.passed for one in done), done
    assert all(one.seconds_to_restore < 2 for one in done), done
    reasons = {one.fault: one.reason for one in done}
    assert "errors" in reasons["errors"]
    assert "slow" in reasons["latency"]
    assert "cost" in reasons["flipped labels"]
    assert "cost" in reasons["null feature"]
    assert "deadline" in reasons["dead metric source"]
    assert "no such table: outcomes" in reasons["dead metric source"]


def test_unknown_fault_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="earthquake is not known"):
        drill(tmp_path, ["earthquake"])
