"""Metrics of other systems, by real HTTP against a small server that keeps the Prometheus API."""

import http.server
import json
import threading
import urllib.parse

import msgspec
import pytest

from interlock.config import Metric, Prometheus
from interlock.errors import EvidenceError
from interlock.rollout.counters import PrometheusCounters


class Server(http.server.ThreadingHTTPServer):
    """Counters that grow evenly: value = rate * time, by series name."""

    def __init__(self, rates):
        self.rates, self.asked, self.broken = rates, [], ""
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        query, at = asked["query"][0], float(asked["time"][0])
        self.server.asked.append((query, at, self.headers.get("Authorization")))
        rate = self.server.rates.get(query)
        result = [] if rate is None else [{"metric": {}, "value": [at, str(rate * at)]}]
        answer = {"status": "success", "data": {"resultType": "vector", "result": result}}
        body = self.server.broken or json.dumps(answer)
        self.send_response(503 if body == "503" else 200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    made = Server({'total{id="c"}': 100, 'bad{id="c"}': 5, 'total{id="b"}': 900, 'bad{id="b"}': 45})
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{made.server_address[1]}"
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def metric(server, **changes):
    section = Prometheus(url=server.url, total='total{id="$deployed_model_id"}', counted='bad{id="$deployed_model_id"}')
    made = Metric(name="bounced", value="counter", role="guardrail", prometheus=section)
    return msgspec.structs.replace(made, **changes)


def sample(made, *, deployed="c", since=100.0, until=110.0, counters=None):
    source = counters or PrometheusCounters()
    return source.sample(made, deployed_model_id=deployed, version="2", since=since, until=until)


def test_counts_between_two_moments(server):
    found = sample(metric(server))
    assert (found.n, found.nonzero, found.total) == (1000, 50, 50.0)
    assert [at for _, at, _ in server.asked] == [100.0, 110.0, 100.0, 110.0]


def test_of_a_counter_of_good_events_the_others_are_bad(server):
    assert sample(metric(server, better="higher")).nonzero == 950


def test_token_is_sent(server):
    sample(metric(server), counters=PrometheusCounters(token=lambda: "secret"))
    assert server.asked[0][2] == "Bearer secret"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("503", "answered 503"),
        ("<html>", "cannot be asked"),
        ('{"status": "error", "error": "parse error"}', "refused .*: parse error"),
        ('{"status": "success", "data": {"resultType": "vector", "result": [{"value": [1, "NaN"]}]}}', "is no count"),
        ('{"status": "success", "data": {"resultType": "vector", "result": [{}, {}]}}', "2 series"),
        ('{"status": "success", "data": {"resultType": "scalar", "result": []}}', "no number"),
    ],
)
def test_broken_answers_are_errors(server, broken, message):
    server.broken = broken
    with pytest.raises(EvidenceError, match=message):
        sample(metric(server))


def test_unknown_series_is_an_error_not_zero(server):
    with pytest.raises(EvidenceError, match=r"0 series for .*correct the name"):
        sample(metric(server), deployed="x")


def test_counter_that_went_back_is_an_error(server):
    with pytest.raises(EvidenceError, match="went back"):
        sample(metric(server), since=110.0, until=100.0)


def test_dead_server_is_an_error():
    section = Prometheus(url="http://127.0.0.1:9", total="a", counted="b")
    with pytest.raises(EvidenceError, match="cannot be asked"):
        sample(Metric(name="m", value="counter", role="guardrail", prometheus=section))


class TestInARollout:
    def world(self, make_world, server):
        world = make_world()
        world.metrics = [*world.metrics, metric(server)]
        world.begin()
        world.process().shift(0)
        return world

    def test_damage_only_another_system_sees_is_rolled_back(self, make_world, server):
        server.rates['bad{id="c"}'] = 30
        world = self.world(make_world, server)
        assert world.process().judge(0) == "rolled back"
        assert world.named("judged")[-1].verdict.metric == "bounced"

    def test_windows_are_disjoint_and_a_sound_candidate_goes_on(self, make_world, server):
        world = self.world(make_world, server)
        assert world.process().judge(0) == "continue"
        moments = [at for query, at, _ in server.asked if query == 'total{id="c"}']
        assert moments[1:-1:2] == moments[2::2]

    def test_dead_source_holds_and_goes_back_at_the_deadline(self, make_world, server):
        server.broken = "503"
        world = self.world(make_world, server)
        world.strategy = msgspec.structs.replace(world.strategy, check_seconds=60)
        assert world.process().judge(0) == "rolled back"
        kinds = [judged.verdict.kind for judged in world.named("judged")]
        assert set(kinds[2:]) == {"error"}  # before, nothing has matured
        assert "continue" not in [judged.action for judged in world.named("judged")]
