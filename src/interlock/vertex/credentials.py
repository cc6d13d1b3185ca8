"""Credentials for an emulator. Imported late: google-auth is not needed to read a place."""

from __future__ import annotations

from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import RefreshError

from interlock.settings import emulator_headers


class EmulatorCredentials(AnonymousCredentials):
    """The emulator's token (``INTERLOCK_TOKEN``), or none. Told that it was refused, google-auth asks for another."""

    def refresh(self, request: Any) -> None:
        """There is no other."""
        what = "this token" if emulator_headers() else "requests without a token"
        raise RefreshError(  # type: ignore[no-untyped-call]
            f"the emulator refuses {what}: set INTERLOCK_TOKEN to the one it was started with"
        )

    def apply(self, headers: dict[str, str], token: str | None = None) -> None:
        """Add the token."""
        headers |= emulator_headers()

    def before_request(self, request: Any, method: str, url: str, headers: dict[str, str]) -> None:
        """google-auth calls this for each request."""
        self.apply(headers)
