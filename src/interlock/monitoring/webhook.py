"""Tells somebody: a POST with a signature that the receiver can check, tried again while it makes sense.

The signature is ``v1=`` and the HMAC-SHA256 of ``<timestamp>.<body>`` in hex. A receiver recomputes it with the shared
secret, and refuses a timestamp that is minutes old, so that a message cannot be played back.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable

from interlock.errors import EnvironmentProblem

TIMESTAMP, SIGNATURE, ATTEMPT = "X-Interlock-Timestamp", "X-Interlock-Signature", "X-Interlock-Attempt"
FIRST_PAUSE_SECONDS = 0.5
TRY_AGAIN = (408, 425, 429)


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """What stands in the header."""
    return "v1=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def is_genuine(
    secret: bytes, timestamp: str, body: bytes, given: str, *, now: float, most_seconds: float = 300
) -> bool:
    """What a receiver asks: signed with ``secret``, and not older than ``most_seconds``."""
    fresh = timestamp.isdecimal() and abs(now - int(timestamp)) <= most_seconds
    return fresh and hmac.compare_digest(signature(secret, timestamp, body), given)


def post(
    url: str,
    body: bytes,
    secret: bytes | None,
    *,
    attempts: int,
    timeout_seconds: float,
    now: Callable[[], float],
    sleep: Callable[[float], None],
) -> str:
    """Deliver ``body`` (JSON); ``status 200 at attempt 2``. :class:`EnvironmentProblem` when nobody takes it.

    Errors of the receiver (5xx, 429) and of the line are tried again, each time after twice as long; a refusal is not.
    """
    problem = ""
    for attempt in range(1, attempts + 1):
        if attempt > 1:
            sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 2))
        timestamp = str(int(now()))
        headers = {"Content-Type": "application/json", TIMESTAMP: timestamp, ATTEMPT: str(attempt)}
        if secret is not None:
            headers[SIGNATURE] = signature(secret, timestamp, body)
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:
                return f"status {answer.status} at attempt {attempt}"
        except urllib.error.HTTPError as error:
            problem = f"status {error.code}"
            if error.code < 500 and error.code not in TRY_AGAIN:
                raise EnvironmentProblem(f"webhook {url} refuses the alert: {problem}; nobody was told") from error
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            problem = str(getattr(error, "reason", error))
    raise EnvironmentProblem(f"webhook {url} does not answer: {problem} in {attempts} attempts; nobody was told")
