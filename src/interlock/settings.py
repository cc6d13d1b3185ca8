"""The one reader of the environment. Everything else takes its settings as arguments."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from interlock.errors import ConfigError


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the model server is told by its container, as Vertex AI names it.

    https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
    ``storage_endpoint`` is the address of a storage emulator, '' for Cloud Storage. ``drain_seconds``: how
    long requests in flight may take after SIGTERM. ``request_seconds``: how long a client may take to send a
    request or to take an answer. ``max_waiting``: requests that may wait for the model, further ones get 429.
    ``allow_pickle``: a model that is a pickle may be loaded, which can run anything. ``prediction_log`` is a folder,
    '' for no log; ``prediction_log_share`` of the answered requests is logged.
    """

    storage_uri: str
    host: str
    port: int
    health_route: str
    predict_route: str
    version: str
    deployed_model_id: str
    allow_pickle: bool
    storage_endpoint: str = ""
    drain_seconds: int = 20
    workers: int = 1
    max_connections: int = 1000
    max_waiting: int = 4096
    request_seconds: int = 20
    prediction_log: str = ""
    prediction_log_share: float = 1.0


def server_settings(environment: Mapping[str, str] = os.environ) -> ServerSettings:
    """Settings of the model server; :class:`ConfigError` names the variable that is missing or wrong."""
    storage_uri = environment.get("AIP_STORAGE_URI", "")
    if not storage_uri:
        raise ConfigError("AIP_STORAGE_URI is not set: point it at a model folder (gs://… or a local path)")
    port = environment.get("AIP_HTTP_PORT", "8080")
    if not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ConfigError(f"AIP_HTTP_PORT={port!r} is not a port: give a number from 0 to 65535")
    version = environment.get("AIP_MODEL_VERSION", "")
    if not re.fullmatch(r"[A-Za-z0-9._@:-]{0,128}", version):
        raise ConfigError(f"AIP_MODEL_VERSION={version!r} cannot be a header: letters, digits and ._@:- only")
    return ServerSettings(
        storage_uri=storage_uri,
        host=environment.get("INTERLOCK_SERVER_HOST", "127.0.0.1"),
        port=int(port),
        health_route=environment.get("AIP_HEALTH_ROUTE", "/health"),
        predict_route=environment.get("AIP_PREDICT_ROUTE", "/predict"),
        version=version,
        deployed_model_id=environment.get("AIP_DEPLOYED_MODEL_ID", ""),
        allow_pickle=environment.get("INTERLOCK_ALLOW_PICKLE", "") == "1",
        storage_endpoint=environment.get("STORAGE_EMULATOR_HOST", ""),
        drain_seconds=_whole(environment, "INTERLOCK_DRAIN_SECONDS", 20, 1, 3600),
        workers=_whole(environment, "INTERLOCK_WORKERS", 1, 1, 256),
        max_connections=_whole(environment, "INTERLOCK_MAX_CONNECTIONS", 1000, 1, 1_000_000),
        max_waiting=_whole(environment, "INTERLOCK_MAX_WAITING", 4096, 1, 1_000_000),
        request_seconds=_whole(environment, "INTERLOCK_REQUEST_SECONDS", 20, 1, 3600),
        prediction_log=environment.get("INTERLOCK_PREDICTION_LOG", ""),
        prediction_log_share=_share(environment, "INTERLOCK_PREDICTION_LOG_SHARE"),
    )


def _whole(environment: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or not low <= int(text) <= high:
        raise ConfigError(f"{name}={text!r} is not a whole number from {low} to {high}: for instance {default}")
    return int(text)


def _share(environment: Mapping[str, str], name: str) -> float:
    text = environment.get(name) or "1"
    if not re.fullmatch(r"1|0|[01]?\.\d+|1\.0+", text) or float(text) > 1:
        raise ConfigError(f"{name}={text!r} is not a share: give a number from 0 to 1, for instance 0.1")
    return float(text)


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the laptop keeps its state; ``INTERLOCK_STATE`` moves it."""
    return Path(environment.get("INTERLOCK_STATE", ".interlock"))


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How pipeline steps run on this machine.

    ``environments`` holds one virtual environment per image (``ml/``, ``data/``). ``warm`` keeps an
    interpreter with its libraries loaded per environment; it ends after ``warm_idle_seconds`` without work.
    ``process_environment`` is what steps inherit.
    """

    environments: Path
    warm: bool
    warm_idle_seconds: float
    process_environment: dict[str, str]


def local_settings(environment: Mapping[str, str] = os.environ) -> LocalSettings:
    """Settings of the local runner; :class:`ConfigError` names the variable that is wrong."""
    minutes = environment.get("INTERLOCK_WARM_MINUTES", "15")
    if not minutes.replace(".", "", 1).isdigit():
        raise ConfigError(f"INTERLOCK_WARM_MINUTES={minutes!r} is not a number of minutes: give for instance 15")
    return LocalSettings(
        environments=Path(environment.get("INTERLOCK_ENVIRONMENTS") or Path(sys.prefix).parent),
        warm=environment.get("INTERLOCK_WARM", "1") != "0",
        warm_idle_seconds=60 * float(minutes),
        process_environment=dict(environment),
    )


def child_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a process we start inherits."""
    return dict(environment)


def emulator_token(environment: Mapping[str, str] = os.environ) -> str:
    """What clients of the Vertex AI emulator must send; '' for no check. ``INTERLOCK_TOKEN`` sets it."""
    return environment.get("INTERLOCK_TOKEN", "")


def pickle_allowed(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the Vertex AI emulator may load pickled models of prebuilt images: ``INTERLOCK_ALLOW_PICKLE=1``."""
    return environment.get("INTERLOCK_ALLOW_PICKLE", "") == "1"


def step_runner(environment: Mapping[str, str] = os.environ) -> Literal["process", "docker"]:
    """What a step of a pipeline job is in the emulator: with ``INTERLOCK_RUNNER=docker``, a container of its image."""
    found = environment.get("INTERLOCK_RUNNER") or "process"
    if found not in ("process", "docker"):
        raise ConfigError(f"INTERLOCK_RUNNER={found!r} is not a way to run a step: give process or docker")
    return "docker" if found == "docker" else "process"


def emulator_headers(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a plain HTTP request to the Vertex AI emulator must carry."""
    token = emulator_token(environment)
    return {"Authorization": f"Bearer {token}"} if token else {}
