"""What every part of the config file is made of."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

NAME = r"^[a-zA-Z_][a-zA-Z0-9_]{0,62}$"
Name = Annotated[str, Meta(pattern=NAME)]


Slug = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,40}$")]


Fraction = Annotated[float, Meta(gt=0, lt=1)]


Positive = Annotated[float, Meta(gt=0)]


Count = Annotated[int, Meta(ge=1)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every part of the file."""
