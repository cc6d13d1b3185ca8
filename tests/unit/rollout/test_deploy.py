"""A candidate is probed where nobody else asks, and stands at 0 % beside the champion only if it answered right."""

import pytest

from interlock.config import Serving
from interlock.contracts import ModelVersion
from interlock.errors import ContractError, EndpointError, GateFailed
from interlock.rollout.deploy import Probe, deploy_candidate, read_probe, require_answers
from interlock.rollout.ports import EndpointState

VERSION = ModelVersion(
    name="projects/p/locations/l/models/m", version="2", aliases=["staging"], artifact_uri="gs://b/m"
)
PROBE = Probe([{"x": 1.0}, {"x": 2.0}], [0.25, 0.75])


class FakeEndpoint:
    """Deployments by id; answers what it is told to."""

    def __init__(self, answers=(0.25, 0.75), versions=None, breaks=False):
        self.answers, self.breaks = answers, breaks
        self.versions = dict(versions or {})
        self.exists, self.deleted, self.percents = False, 0, []

    def ensure(self):
        self.exists = True

    def read(self):
        return EndpointState(etag="1", traffic={}, versions=dict(self.versions))

    def deploy(self, version, serving, *, percent=0):
        if self.breaks:
            raise EndpointError("server does not start")
        self.percents.append(percent)
        self.versions[f"d{len(self.versions)}"] = version.version
        return f"d{len(self.versions) - 1}"

    def predict(self, instances):
        return [{"probability": answer} for answer in self.answers]

    def delete(self):
        self.versions.clear()
        self.deleted += 1


def deploy(endpoint, probing):
    return deploy_candidate(endpoint, probing, VERSION, serving=Serving(), probe=PROBE)


def test_probed_apart_then_deployed_at_zero():
    endpoint, probing = FakeEndpoint(versions={"old": "1"}), FakeEndpoint()
    assert deploy(endpoint, probing) == "d1"
    assert endpoint.percents == [0]
    assert probing.percents == [100]
    assert probing.versions == {}  # taken off again


@pytest.mark.parametrize("answers", [(0.25, 0.7501), (0.25, float("nan")), (0.25,)])
def test_wrong_answers_are_not_deployed(answers):
    endpoint, probing = FakeEndpoint(), FakeEndpoint(answers)
    with pytest.raises(GateFailed, match="version 2"):
        deploy(endpoint, probing)
    assert endpoint.percents == []
    assert probing.versions == {}


def test_a_server_that_does_not_start_leaves_nothing_behind():
    endpoint, probing = FakeEndpoint(), FakeEndpoint(breaks=True)
    with pytest.raises(EndpointError):
        deploy(endpoint, probing)
    assert endpoint.percents == []
    assert probing.deleted == 2


def test_repeating_deploys_nothing_twice():
    endpoint, probing = FakeEndpoint(versions={"x": "2"}), FakeEndpoint()
    assert deploy(endpoint, probing) == "x"
    assert probing.percents == []


def test_answers_within_the_tolerance_pass():
    require_answers("2", PROBE, [{"probability": 0.250001}, {"probability": 0.75}])


def test_a_missing_probability_does_not_pass():
    with pytest.raises(GateFailed):
        require_answers("2", PROBE, [{}, {"probability": 0.75}])


@pytest.mark.parametrize("text", [None, "", "{}", '{"instances": 1, "probabilities": []}'])
def test_a_probe_that_cannot_be_read_is_refused(tmp_path, text):
    path = tmp_path / "probe.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ContractError, match=r"probe\.json"):
        read_probe(path)
