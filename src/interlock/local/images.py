"""Image names of the source, and the references a compiled template has in their place.

The source says ``interlock-ml:0.1.0``. A file written by what pushed the images says what that is in a registry::

    interlock-ml: europe-docker.pkg.dev/project/interlock/interlock-ml@sha256:…
    interlock-data: …
    interlock-serve: …
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from interlock.errors import ConfigError

# The version is part of the name: an image of another release is another image.
NAME = re.compile(r"(?<![\w./@-])(interlock-(?:ml|data|serve)):\d+\.\d+\.\d+(?![\w.@-])")
_BY_DIGEST = re.compile(r"[\w.:/-]+@sha256:[0-9a-f]{64}")


def read_references(path: Path) -> dict[str, str]:
    """Name to reference. :class:`ConfigError` when one is not by digest: a tag can be moved after a test has passed."""
    try:
        references = msgspec.yaml.decode(path.read_bytes(), type=dict[str, str])
    except OSError as error:
        raise ConfigError(f"image references {path}: {error.strerror}; `make push-images` writes the file") from error
    except msgspec.MsgspecError as error:
        raise ConfigError(f"image references {path}: {error}; give lines of NAME: REFERENCE@sha256:DIGEST") from error
    for name, reference in references.items():
        if not _BY_DIGEST.fullmatch(reference):
            raise ConfigError(
                f"image references {path}: {name} is {reference!r}, which is not by digest; "
                "give REFERENCE@sha256: and 64 hexadecimal digits, as `make push-images` writes it"
            )
    return references


def resolve(template: str, references: Mapping[str, str]) -> str:
    """``template`` with a reference in place of every image name; :class:`ConfigError` names one that has none."""
    missing = sorted({match[1] for match in NAME.finditer(template)} - set(references))
    if missing:
        raise ConfigError(f"no reference for image {', '.join(missing)}; add it to the file of image references")
    return NAME.sub(lambda match: references[match[1]], template)


def unresolved(template: str) -> list[str]:
    """Image names in ``template`` that no registry has."""
    return sorted({match[0] for match in NAME.finditer(template)})
