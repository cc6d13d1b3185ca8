"""Pipelined requests over many connections, cheap enough for one core to send a million."""

from __future__ import annotations

import json
import random
import socket
from typing import Any, NamedTuple

CONNECTIONS = 16
AHEAD = 16  # requests sent before the answers are read

HEAD = b"POST /predict HTTP/1.1\r\nhost: soak\r\ncontent-length: %d\r\n\r\n"


class Soaked(NamedTuple):
    """Counts of one soak."""

    requests: int
    refused: int
    errors: int


def soak(port: int, rows: list[dict[str, Any]], *, requests: int, choice: random.Random) -> Soaked:
    """Send ``requests`` requests and read every answer."""
    good = [_request(json.dumps({"instances": [row]}).encode()) for row in rows]
    bad = [_request(body) for body in _broken(json.dumps({"instances": rows[:2]}).encode(), choice)]
    clients = [_connect(port) for _ in range(CONNECTIONS)]
    sent = refused = errors = 0
    while sent < requests:
        wanted = []
        for client in clients:
            kinds = [choice.random() < 0.1 for _ in range(AHEAD)]
            client.sendall(b"".join(choice.choice(bad if kind else good) for kind in kinds))
            wanted.append(sum(kinds))
        for client, expected in zip(clients, wanted, strict=True):
            statuses = _statuses(client, AHEAD)
            wrong = sum(status not in (b"200", b"400") for status in statuses)
            refusals = statuses.count(b"400")
            errors += wrong + AHEAD - len(statuses) + max(0, expected - refusals - wrong)
            refused += refusals
        sent += AHEAD * CONNECTIONS
        if choice.random() < 0.02:  # hang up in the middle of a request, and come again
            place = choice.randrange(CONNECTIONS)
            clients[place].sendall(good[0][:-10])
            clients[place].close()
            clients[place] = _connect(port)
    for client in clients:
        client.close()
    return Soaked(sent, refused, errors)


def _request(body: bytes) -> bytes:
    return HEAD % len(body) + body


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def _broken(body: bytes, choice: random.Random) -> list[bytes]:
    cut = [body[: choice.randrange(len(body) - 1)] for _ in range(40)]
    return [
        *cut,
        b"{}",
        b'{"instances": [{"distance": "far"}]}',
        b'{"instances": [{"nowhere": 1}]}',
        b'{"instances": [{"distance": NaN}]}',
        b'{"instances": ' + b"[" * 5000,
    ]


def _statuses(client: socket.socket, count: int) -> list[bytes]:
    """Statuses of ``count`` answers, or of as many as come."""
    read = b""
    found: list[bytes] = []
    while len(found) < count:
        part = client.recv(262_144)
        if not part:
            break
        read += part
        while (end := read.find(b"\r\n\r\n")) >= 0:
            start = read.index(b"content-length: ", 0, end) + 16
            length = int(read[start : read.index(b"\r\n", start)])
            if len(read) < end + 4 + length:
                break
            found.append(read[9:12])
            read = read[end + 4 + length :]
    return found
