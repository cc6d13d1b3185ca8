"""Clients that are slow, rude or hostile: refused in time, and nobody else notices."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

GOOD = b'{"instances":[{"distance":1}]}'
HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\n"
REQUEST = HEAD + b"content-length: %d\r\n\r\n" % len(GOOD) + GOOD


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("two lengths", HEAD + b"content-length: 3\r\ncontent-length: 4\r\n\r\n{}  "),
        ("length and chunks", HEAD + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("chunks and length", HEAD + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n"),
        ("chunks that are not last", HEAD + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        ("a space before the colon", HEAD + b"content-length : 4\r\n\r\n{}  "),
        ("a length with a sign", HEAD + b"content-length: +4\r\n\r\n{}  "),
        ("a negative length", HEAD + b"content-length: -4\r\n\r\n{}  "),
        ("a length out of range", HEAD + b"content-length: 99999999999999999999999\r\n\r\n{}"),
        ("a chunk size that is no number", HEAD + b"transfer-encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n"),
        ("a chunk longer than it says", HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\n{}{}\r\n0\r\n\r\n"),
        ("a folded header", HEAD + b"a: b\r\n c\r\ncontent-length: 2\r\n\r\n{}"),
        ("two hosts", HEAD + b"host: y\r\ncontent-length: 2\r\n\r\n{}"),
        ("no host", b"POST /predict HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}"),
        ("two hosts of HTTP/1.0", b"GET /health HTTP/1.0\r\nhost: x\r\nhost: y\r\n\r\n"),
        ("a header with NUL", HEAD + b"a: b\x00c\r\ncontent-length: 2\r\n\r\n{}"),
        ("no version", b"POST /predict\r\n\r\n"),
        ("a bad version", b"POST /predict HTTP/9.9\r\n\r\n"),
        ("no method", b"\r\n /predict HTTP/1.1\r\n\r\n"),
        ("a bad path", b"GET pre dict HTTP/1.1\r\n\r\n"),
        ("a path that is not ASCII", b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("a tunnel", b"CONNECT localhost:1 HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200),
    ],
)
def test_what_is_not_one_clear_request_gets_4xx_and_is_closed(live: Any, name: str, sent: bytes) -> None:
    follower = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    answer = live.raw(sent + follower, half_close=True)  # in one packet: what comes after a close is a reset
    assert answer.startswith(b"HTTP/1.1 4"), answer
    assert answer.count(b"HTTP/1.1 200") == 0, f"{name}: the bytes after it were read as a request"
    live.is_well()


def test_requests_sent_ahead_are_answered_in_order(live: Any) -> None:
    ahead = [REQUEST.replace(b"host: x", b"host: x\r\nx-request-id: n%d" % i) for i in range(20)]
    closing = REQUEST.replace(b"host: x", b"host: x\r\nconnection: close")
    answer = live.raw(b"".join(ahead) + closing)
    ids = [part.split(b"\r\n")[0] for part in answer.split(b"x-request-id: ")[1:21]]
    assert ids == [b"n%d" % i for i in range(20)]
    assert answer.count(b"HTTP/1.1 200") == 21


def test_kinds_of_requests_sent_ahead_are_answered_in_order(live: Any) -> None:
    health = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    chunked = HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD)
    bad = HEAD + b"content-length: 2\r\n\r\n{}"
    last = REQUEST.replace(b"host: x", b"host: x\r\nconnection: close")
    answers = live.raw(REQUEST + health + REQUEST + bad + chunked + last).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", b"200", b"200", b"400", b"200", b"200"]
    assert [b'"ready"' in answer for answer in answers] == [False, True, False, False, False, False]
    live.is_well()


def test_answers_do_not_depend_on_what_arrives_together(live: Any) -> None:
    rows = [{"distance": i / 10, "carrier": "UA"} for i in range(-15, 15)]
    alone = [live.request("POST", "/predict", {"instances": [row]})[2]["predictions"] for row in rows]
    bodies = [json.dumps({"instances": [row]}).encode() for row in rows]
    together = b"".join(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body for body in bodies)
    answers = live.raw(together, half_close=True).split(b"HTTP/1.1 200 OK")[1:]
    assert [json.loads(answer.partition(b"\r\n\r\n")[2])["predictions"] for answer in answers] == alone


def test_too_many_requests_sent_ahead_are_refused(live: Any) -> None:
    assert b"HTTP/1.1 400" in live.raw(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n" * 2000)
    live.is_well()


def test_a_half_closed_client_gets_its_answer(live: Any) -> None:
    answer = live.raw(REQUEST, half_close=True)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"}]}")


def test_a_half_closed_client_gets_all_answers(live: Any) -> None:
    assert live.raw(REQUEST * 10, half_close=True).count(b"HTTP/1.1 200") == 10


def test_a_half_sent_request_is_dropped(live: Any) -> None:
    assert live.raw(REQUEST[:-5], half_close=True) == b""
    live.is_well()


def test_a_body_refused_before_it_was_sent_ends_the_connection(live: Any) -> None:
    asking = HEAD + b"expect: 100-continue\r\ncontent-length: 100000000\r\n\r\n"
    answer = live.raw(asking, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")  # not taken for the body
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer
    assert answer.count(b"HTTP/1.1 ") == 1
    live.is_well()


@pytest.mark.parametrize("length", [b"content-length: 100000000\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n"])
def test_a_body_that_is_too_long_is_answered_once(start: Any, length: bytes) -> None:
    server = start(INTERLOCK_REQUEST_SECONDS="1")
    before = server.rss_mb()
    part = b" " * 1_000_000
    parts = [b"f4240\r\n%b\r\n" % part if b"chunked" in length else part] * 90  # and never the rest
    answer = server.raw(HEAD + length, *parts)
    assert answer.startswith(b"HTTP/1.1 413")
    assert answer.count(b"HTTP/1.1 ") == 1
    server.is_well()
    assert server.rss_mb() - before < 40


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c"])
def test_an_upgrade_is_ignored(live: Any, upgrade: bytes) -> None:
    asked = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: %b\r\n\r\n" % upgrade
    assert live.raw(asked + b"GET /metrics HTTP/1.1\r\n\r\n").count(b"HTTP/1.1 200") == 1
    live.is_well()


@pytest.mark.parametrize("line", [b"GET /" + b"a" * 9000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 2000])
def test_an_endless_head_is_refused(live: Any, line: bytes) -> None:
    before = live.rss_mb()
    with socket.create_connection(("127.0.0.1", live.port), timeout=20) as client:
        client.sendall(line)
        sent = 0
        try:
            while sent < 50_000_000:
                sent += client.send(b"a" * 65_536)
        except ConnectionError:
            pass
        assert sent < 20_000_000  # what the sockets hold
    live.is_well()
    assert live.rss_mb() - before < 30


def test_endless_trailers_and_chunk_extensions_cost_no_memory(start: Any) -> None:
    server = start(INTERLOCK_REQUEST_SECONDS="2")
    before = server.rss_mb()
    for endless in (b"0\r\n" + b"t: x\r\n" * 200_000, b"1;" + b"e" * 2_000_000):
        server.raw(HEAD + b"transfer-encoding: chunked\r\n\r\n", endless)
    server.is_well()
    assert server.rss_mb() - before < 30


def test_slow_clients_are_closed_and_others_are_served(start: Any, eventually: Callable[..., None]) -> None:
    server = start(INTERLOCK_REQUEST_SECONDS="1")
    with ExitStack() as clients:
        slow = [
            clients.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20)) for _ in range(60)
        ]
        for i, client in enumerate(slow):
            client.sendall((HEAD[:20], HEAD, REQUEST[:-3], b"\r\n")[i % 4])
        server.is_well()
        eventually(lambda: server.metric("interlock_connections") <= 2)
        for i, client in enumerate(slow):
            answer = client.recv(1000)
            assert answer.startswith(b"HTTP/1.1 408") if i % 4 else True
            assert b"200" not in answer[:12]
    server.is_well()
    assert server.metric('interlock_refusals_total{kind="http 408"}') > 0


def test_a_client_that_takes_no_answer_is_aborted(start: Any, eventually: Callable[..., None]) -> None:
    server = start(INTERLOCK_REQUEST_SECONDS="1")
    body = b'{"instances":[' + b",".join([b'{"distance":1}'] * 10_000) + b"]}"
    asked = HEAD + b"content-length: %d\r\n\r\n" % len(body) + body
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(2)
        client.connect(("127.0.0.1", server.port))
        with pytest.raises((TimeoutError, ConnectionError)):  # never reads
            client.sendall(asked * 200)  # more than the buffers of both sockets hold
        eventually(lambda: server.metric('interlock_refusals_total{kind="slow reader"}') == 1)
    server.is_well()


def test_one_connection_too_many_is_told(start: Any) -> None:
    server = start(INTERLOCK_MAX_CONNECTIONS="3")
    with ExitStack() as clients:
        for _ in range(3):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
            client.sendall(REQUEST)
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert b"more than 3 connections" in server.raw()
    server.is_well()


def test_many_large_bodies_at_once_are_refused_before_they_fill_the_memory(live: Any) -> None:
    before = live.rss_mb()
    statuses: list[bytes] = []
    with ExitStack() as clients:
        large = HEAD + b"content-length: 9000000\r\n\r\n" + b" " * 8_000_000
        for _ in range(15):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", live.port), timeout=1))
            client.sendall(large)
            try:
                statuses.append(client.recv(1000)[:12])
            except TimeoutError:  # its body is being kept
                statuses.append(b"")
        assert live.rss_mb() - before < 150
        assert statuses.count(b"HTTP/1.1 503") >= 5
        assert live.request("POST", "/predict", GOOD)[0] in (200, 503)
    text = live.request("GET", "/metrics")[2].decode()
    assert 'kind="busy"' in text
