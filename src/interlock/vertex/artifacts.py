"""Folders in the place's bucket."""

from __future__ import annotations

from pathlib import Path

from interlock.contracts import Place
from interlock.errors import RegistryError
from interlock.vertex.client import bucket


def upload_folder(place: Place, folder: Path, prefix: str) -> str:
    """Copy the files of ``folder`` (flat) under ``prefix``; returns the ``gs://`` URI of the folder."""
    target = bucket(place)
    for path in sorted(folder.iterdir()):
        if path.is_file():
            target.blob(f"{prefix}/{path.name}").upload_from_filename(str(path), timeout=60)
    return f"gs://{place.bucket}/{prefix}"


def download_folder(place: Place, uri: str, folder: Path) -> Path:
    """Copy every file under ``uri`` into ``folder``; :class:`RegistryError` if there is none."""
    root = f"gs://{place.bucket}/"
    if not uri.startswith(root):
        raise RegistryError(f"artifact {uri} is not in bucket {place.bucket}: give the bucket it was registered with")
    prefix = uri.removeprefix(root).rstrip("/") + "/"
    folder.mkdir(parents=True, exist_ok=True)
    source = bucket(place)
    names = [blob.name for blob in source.client.list_blobs(place.bucket, prefix=prefix)]
    if not names:
        raise RegistryError(f"artifact {uri} is gone: the bucket has no file under it; register the model again")
    for name in names:
        # By name: a listed blob carries the address it was written at, and an emulator started anew has another.
        (folder / name.removeprefix(prefix)).write_bytes(source.blob(name).download_as_bytes(timeout=60))
    return folder
