"""Resource names: ``projects/P/locations/L/collection/id[/collection/id…]``."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime

import msgspec

from interlock.emulator.rpc import RpcError, invalid

_ID = re.compile(r"[a-z0-9]([a-z0-9_-]{0,126}[a-z0-9])?")


class Location(msgspec.Struct, frozen=True):
    """The one project and location served. A project number in a request stands for ``project``."""

    project: str
    location: str

    @property
    def parent(self) -> str:
        """``projects/P/locations/L``."""
        return f"projects/{self.project}/locations/{self.location}"

    def name(self, *segments: str) -> str:
        """A full resource name."""
        return "/".join((self.parent, *segments))

    def check(self, project: str, location: str) -> None:
        """Refuse another project or location."""
        if project != self.project and not project.isdigit():
            raise RpcError("PERMISSION_DENIED", f"project {project!r} is not served here, only {self.project!r}")
        if location != self.location:
            raise RpcError("NOT_FOUND", f"location {location!r} is not served here, only {self.location!r}")

    def last_id(self, name: str, collection: str) -> str:
        """The id in ``projects/*/locations/*/<collection>/<id>``; INVALID_ARGUMENT if it is another name."""
        parts = name.split("/")
        if len(parts) != 6 or parts[0] != "projects" or parts[2] != "locations" or parts[4] != collection:
            raise invalid(f"{name!r} is not a name like {self.name(collection, 'ID')}")
        self.check(parts[1], parts[3])
        return parts[5]


def check_id(what: str, value: str) -> None:
    """Refuse an id that would not be accepted by the service."""
    if not _ID.fullmatch(value):
        raise invalid(f"{what} {value!r}: give up to 128 of a-z, 0-9, - and _, starting with a letter or digit")


def new_id() -> str:
    """A numeric id of the length the service gives."""
    return str(random.randrange(10**17, 10**18))


def timestamp() -> str:
    """Now, RFC 3339, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
