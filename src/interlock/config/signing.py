"""Config of model signatures."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from interlock.config.section import Section

KeyPlace = Annotated[str, Meta(pattern=r"^$|^(/|~/)|^projects/[^/]+/secrets/[^/]+/versions/[^/]+$")]
PublicKey = Annotated[str, Meta(pattern=r"^\s*-----BEGIN PUBLIC KEY-----")]


class Signing(Section, frozen=True, kw_only=True):
    """Who vouches for a version.

    ``private_key`` signs at registration: a file (absolute, or ~/…) or a version of a Secret Manager secret
    (``projects/…/secrets/…/versions/…``); '' signs nothing. ``public_keys``: PEM texts of those that may have signed,
    several while a key is replaced. ``require_signature``: what none of them signed is not deployed.
    """

    private_key: KeyPlace = ""
    public_keys: list[PublicKey] = []
    require_signature: bool = False

    @property
    def must_have_signed(self) -> list[str]:
        """The keys of which one must have signed what is deployed; [] where that is not asked."""
        return self.public_keys if self.require_signature else []
