"""AIP_STORAGE_URI -> a local folder with manifest, signature and model and, where there is one, the probe."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from interlock.contracts import Manifest, read_contract
from interlock.errors import EnvironmentProblem, InputError
from interlock.serving.engines import MODEL_FILES
from interlock.serving.model import MANIFEST_FILE, PROBE_FILE, SIGNATURE_FILE


@contextmanager
def model_folder(uri: str, *, storage_endpoint: str = "") -> Iterator[Path]:
    """The folder behind ``uri``: a local path as it is, ``gs://…`` downloaded and removed on leaving.

    ``storage_endpoint`` is the address of a storage emulator, '' for Cloud Storage.
    """
    if not uri.startswith("gs://"):
        yield Path(uri)
        return
    with tempfile.TemporaryDirectory(prefix="interlock-model-") as folder:
        _download(uri, Path(folder), storage_endpoint)
        yield Path(folder)


def _download(uri: str, folder: Path, storage_endpoint: str) -> None:
    from google.api_core.exceptions import GoogleAPIError, NotFound
    from google.auth.exceptions import GoogleAuthError

    bucket_name, _, prefix = uri.removeprefix("gs://").partition("/")
    bucket = _client(storage_endpoint).bucket(bucket_name)

    def fetch(name: str) -> None:
        path = f"{prefix.rstrip('/')}/{name}".lstrip("/")
        try:
            (folder / name).write_bytes(bucket.blob(path).download_as_bytes())
        except NotFound as error:
            if name == PROBE_FILE:
                return
            raise InputError(
                f"gs://{bucket_name}/{path} does not exist: AIP_STORAGE_URI={uri} must hold {MANIFEST_FILE}, "
                f"{SIGNATURE_FILE} and {' or '.join(MODEL_FILES.values())}, as train_model writes them"
            ) from error
        except (GoogleAPIError, GoogleAuthError, OSError) as error:
            raise EnvironmentProblem(f"gs://{bucket_name}/{path} cannot be read: {error}") from error

    fetch(MANIFEST_FILE)
    manifest = read_contract(folder / MANIFEST_FILE, Manifest)
    for name in (MODEL_FILES[manifest.format], SIGNATURE_FILE, PROBE_FILE):
        fetch(name)


def _client(storage_endpoint: str) -> Any:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage  # type: ignore[attr-defined]  # a namespace package without types

    if not storage_endpoint:
        return storage.Client()
    return storage.Client(
        project="interlock",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": storage_endpoint},
    )
