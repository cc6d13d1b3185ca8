"""The one bootstrap of the Google client: the same client everywhere, only the address differs.

With an API endpoint of an emulator it uses REST, the emulator's token if there is one (``INTERLOCK_TOKEN``, else
anonymous credentials), and the few settings the SDK does not offer as arguments.
Otherwise: application-default credentials and nothing special.
"""

from __future__ import annotations

import functools
import importlib
import os
from typing import Any
from urllib.parse import urlsplit

from interlock.contracts import Place
from interlock.errors import ConfigError

# What gcp-storage-emulator says is the project number of its buckets; the SDK compares it when a job is submitted.
EMULATED_PROJECT_NUMBER = "1234"


def is_local(place: Place) -> bool:
    """Whether ``place`` is an emulator. Any other address is refused: it would get no credentials."""
    if not place.api_endpoint:
        return False
    host = urlsplit(place.api_endpoint).hostname or ""
    if host in {"127.0.0.1", "localhost", "::1"} or host.endswith(".svc.cluster.local") or "." not in host:
        return True
    raise ConfigError(
        f"place.api_endpoint {place.api_endpoint} is not an emulator on this host or cluster; leave it ''"
    )


def parent(place: Place) -> str:
    """``projects/…/locations/…``."""
    return f"projects/{place.project}/locations/{place.location}"


def _credentials(place: Place) -> Any:
    if not is_local(place):
        return None  # application-default credentials
    from interlock.vertex.credentials import EmulatorCredentials

    return EmulatorCredentials()  # type: ignore[no-untyped-call]


@functools.cache
def service(place: Place, name: str, version: str = "v1") -> Any:
    """A generated client by service name: ``Model``, ``Endpoint``, ``Prediction``, ``Pipeline``, ``Schedule``."""
    from google.api_core.client_options import ClientOptions

    kind = getattr(importlib.import_module(f"google.cloud.aiplatform_{version}"), f"{name}ServiceClient")
    if is_local(place):
        options = ClientOptions(api_endpoint=place.api_endpoint)
        return kind(credentials=_credentials(place), client_options=options, transport="rest")
    return kind(client_options=ClientOptions(api_endpoint=f"{place.location}-aiplatform.googleapis.com"))


def finished(operation: Any, *, seconds: float) -> Any:
    """The result of a long-running operation, waited for at most so long.

    It is asked for soon at first: the client's own first look comes after up to two seconds, and a rollback is to be
    over by then.
    """
    from google.api_core.future.polling import DEFAULT_POLLING

    return operation.result(timeout=seconds, polling=DEFAULT_POLLING.with_delay(initial=0.05))


@functools.cache
def sdk(place: Place) -> Any:
    """``google.cloud.aiplatform``, initialised for ``place``. Costs seconds to import: prefer :func:`service`."""
    import logging

    from google.cloud import aiplatform

    # The SDK tells of every call on stdout; callers here say themselves what matters.
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("google.cloud.aiplatform")]:
        logging.getLogger(name).setLevel(logging.WARNING)
    if not is_local(place):
        aiplatform.init(project=place.project, location=place.location, staging_bucket=f"gs://{place.bucket}")
        return aiplatform
    _shim_sdk(place)
    aiplatform.init(
        project=place.project,
        location=place.location,
        staging_bucket=f"gs://{place.bucket}",
        credentials=_credentials(place),
        api_endpoint=place.api_endpoint,
        api_transport="rest",
    )
    return aiplatform


def _shim_sdk(place: Place) -> None:
    """What the SDK hard-codes and an emulator cannot answer.

    Submitting a job looks the project up in Resource Manager, which has no emulator and no address setting:
    without this, each submit waits 50 s for a host that is not there. Storage has its address in the environment
    only.
    """
    from google.cloud.aiplatform.utils import resource_manager_utils

    os.environ["STORAGE_EMULATOR_HOST"] = place.storage_endpoint
    resource_manager_utils.get_project_number = lambda project_id, credentials=None: EMULATED_PROJECT_NUMBER
    resource_manager_utils.get_project_id = lambda project_number, credentials=None: place.project


@functools.cache
def bucket(place: Place) -> Any:
    """The place's ``google.cloud.storage.Bucket``."""
    from google.cloud import storage  # type: ignore[attr-defined]  # a namespace package without types

    if not is_local(place):
        return storage.Client(project=place.project).bucket(place.bucket)
    client = storage.Client(
        project=place.project,
        credentials=_credentials(place),
        client_options={"api_endpoint": place.storage_endpoint},
    )
    return client.bucket(place.bucket)
