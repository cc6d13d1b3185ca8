"""Rolling back on the emulator, as a policy asks for it: production moves, the journal says that monitoring did it."""

import pytest

from interlock.errors import EnvironmentProblem
from interlock.registry.aliases import PREVIOUS, PRODUCTION, STAGING, quarantine_alias
from interlock.rehearsal.stage import stage
from interlock.rollout.history import production_changes
from interlock.vertex.monitoring import VertexHands
from interlock.warehouse import open_warehouse


def test_roll_back_moves_production_and_is_journaled(tmp_path):
    with stage(tmp_path) as there:
        champion, candidate = there.upload("sound"), there.upload("errors")
        _, deployed = there.ready(champion, candidate)
        there.endpoint.set_traffic({deployed: 100}, there.endpoint.read().etag)
        there.registry.set_alias(candidate.version, PRODUCTION)
        there.registry.set_alias(champion.version, PREVIOUS)
        there.registry.remove_alias(candidate.version, STAGING)
        hands = VertexHands(there.place, there.config, None)

        said = hands.roll_back("monitoring: failed (5xx): 40 of 100 > 1 %")

        assert said == f"version {champion.version} is in production"
        assert there.registry.version_with(PRODUCTION) == champion.version
        assert there.registry.find(quarantine_alias(candidate.version)).version == candidate.version
        found = there.endpoint.read()
        assert {found.versions[id_] for id_, share in found.traffic.items() if share} == {champion.version}
        last = production_changes(open_warehouse(there.place.warehouse), there.config.name)[-1]
        assert (last.version, last.reason) == (champion.version, "monitoring: failed (5xx): 40 of 100 > 1 %")
        with pytest.raises(EnvironmentProblem, match="no template to submit: create the schedule"):
            hands.train()
