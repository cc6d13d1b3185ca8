"""Which place a command is about: the running emulators, or the Google Cloud project in a file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from interlock.contracts import Place
from interlock.errors import InputError
from interlock.local import stack


def chosen_place(state: Path, file: Path | None) -> Place:
    """The place in ``file`` (place/v1), else the emulators that run on ``state``."""
    return stack.require_place(state) if file is None else read_place(file)


def read_place(file: Path) -> Place:
    """A place/v1 file, as ``terraform output -json places`` and ``interlock up`` write it."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Place)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; docs/google-cloud.md says how to write it") from error
    except msgspec.MsgspecError as error:
        raise InputError(f"{file} is not a place/v1: {error}; docs/google-cloud.md says how to write it") from error
