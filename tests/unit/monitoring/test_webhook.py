"""The alert over real HTTP: signed, tried again while it makes sense, refused loudly."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from interlock.errors import EnvironmentProblem
from interlock.monitoring.webhook import ATTEMPT, SIGNATURE, TIMESTAMP, is_genuine, post

SECRET, BODY, NOW = b"shared", b'{"verdict":"alert"}', 1_700_000_000.0


@pytest.fixture
def receiver():
    """A server that answers with the statuses it is given, the last one again and again."""
    received, statuses = [], [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(statuses[min(len(received), len(statuses)) - 1])
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", received, statuses
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


def deliver(url, *, attempts=4, secret=SECRET):
    pauses = []
    said = post(url, BODY, secret, attempts=attempts, timeout_seconds=5, now=lambda: NOW, sleep=pauses.append)
    return said, pauses


def test_signed_and_dated(receiver):
    url, received, _ = receiver
    assert deliver(url) == ("status 200 at attempt 1", [])
    ((headers, body),) = received
    assert body == BODY
    given = headers[SIGNATURE]
    assert is_genuine(SECRET, headers[TIMESTAMP], body, given, now=NOW)
    assert not is_genuine(b"another", headers[TIMESTAMP], body, given, now=NOW)
    assert not is_genuine(SECRET, headers[TIMESTAMP], body + b" ", given, now=NOW)
    assert not is_genuine(SECRET, str(int(NOW) + 1), body, given, now=NOW)
    assert not is_genuine(SECRET, headers[TIMESTAMP], body, given, now=NOW + 301)


def test_without_a_secret_there_is_no_signature(receiver):
    url, received, _ = receiver
    deliver(url, secret=None)
    assert SIGNATURE not in received[0][0]


def test_tried_again_each_time_after_twice_as_long(receiver):
    url, received, statuses = receiver
    statuses[:] = [503, 429, 200]
    assert deliver(url) == ("status 200 at attempt 3", [0.5, 1.0])
    assert [headers[ATTEMPT] for headers, _ in received] == ["1", "2", "3"]


def test_a_refusal_is_not_tried_again(receiver):
    url, received, statuses = receiver
    statuses[:] = [401]
    with pytest.raises(EnvironmentProblem, match="refuses the alert: status 401; nobody was told"):
        deliver(url)
    assert len(received) == 1


def test_nobody_takes_it(receiver):
    url, _, statuses = receiver
    statuses[:] = [500]
    with pytest.raises(EnvironmentProblem, match="status 500 in 2 attempts; nobody was told"):
        deliver(url, attempts=2)


def test_nobody_listens():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(EnvironmentProblem, match="Connection refused in 2 attempts"):
        deliver(f"http://127.0.0.1:{port}/", attempts=2)
