"""The private key that signs models: from a file, or from Secret Manager."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

from interlock.contracts import Place
from interlock.errors import ConfigError, EnvironmentProblem
from interlock.vertex.client import is_local

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
ADDRESS = "https://secretmanager.googleapis.com"
SECONDS = 20


def read_signing_key(place: Place, reference: str) -> bytes | None:
    """The PEM text of ``signing.private_key``, None for ''. It is never written anywhere."""
    if not reference:
        return None
    if not reference.startswith("projects/"):
        return _file(Path(reference).expanduser())
    if is_local(place):
        raise ConfigError(f"signing.private_key {reference}: the emulators have no Secret Manager; give a file")
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=[SCOPE])
    return read_secret(reference, AuthorizedSession(credentials))  # type: ignore[no-untyped-call]


def read_secret(reference: str, session: Any, address: str = ADDRESS) -> bytes:
    """The payload of ``projects/…/secrets/…/versions/…``, by Secret Manager's REST API."""
    answer = session.request("GET", f"{address}/v1/{reference}:access", timeout=SECONDS)
    if answer.status_code != 200:
        raise EnvironmentProblem(
            f"{reference} cannot be read: {answer.status_code}; the account needs roles/secretmanager.secretAccessor"
        )
    return base64.b64decode(answer.json()["payload"]["data"])


def _file(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise EnvironmentProblem(f"{path} can be read by others (mode {stat.S_IMODE(mode):o}): chmod 600 {path}")
        return path.read_bytes()
    except OSError as error:
        raise EnvironmentProblem(
            f"signing.private_key {path}: {error.strerror}; make one: openssl genpkey -algorithm ed25519 -out {path}"
        ) from error
