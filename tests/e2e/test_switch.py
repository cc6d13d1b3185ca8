"""Blue-green switches under load lose no request."""

import pytest

from interlock.rehearsal.stage import stage
from interlock.rehearsal.switch import switch


@pytest.mark.slow
def test_switches_under_load_lose_nothing_and_act_at_once(tmp_path):
    with stage(tmp_path) as ground:
        done = switch(ground, 15, per_second=300)
    assert done.lost == 0
    assert done.requests > 100
    assert sorted(done.effect_ms)[len(done.effect_ms) // 2] < 50
