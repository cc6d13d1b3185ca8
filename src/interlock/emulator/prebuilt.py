"""``python -m interlock.emulator.prebuilt sklearn|xgboost``: what Vertex AI's prebuilt images do, without the image.

Loads ``model.pkl``, ``model.joblib`` or, for XGBoost, ``model.bst`` from AIP_STORAGE_URI and answers
``{"instances": [[…], …]}`` with ``{"predictions": [...]}`` from ``model.predict``. A pickle can run anything while it
loads: the emulator starts this program only with ``--allow-pickle``.
https://cloud.google.com/vertex-ai/docs/training/exporting-model-artifacts
"""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from interlock.errors import EnvironmentProblem, InputError, InterlockError
from interlock.settings import ServerSettings, server_settings

FILES = {"sklearn": ("model.joblib", "model.pkl"), "xgboost": ("model.bst", "model.joblib", "model.pkl")}
Predict = Callable[[list[Any]], list[Any]]


@contextmanager
def _artifact(settings: ServerSettings, names: tuple[str, ...]) -> Iterator[Path]:
    """The first of ``names`` in AIP_STORAGE_URI, as a local file."""
    uri = settings.storage_uri
    with tempfile.TemporaryDirectory(prefix="interlock-model-") as folder:
        for name in names:
            path = Path(uri) / name
            if uri.startswith("gs://"):
                path = Path(folder) / name
                _download(f"{uri.rstrip('/')}/{name}", path, settings.storage_endpoint)
            if path.exists():
                yield path
                return
        raise InputError(f"{uri} holds none of {', '.join(names)}: upload the model under one of these names")


def _download(uri: str, path: Path, endpoint: str) -> None:
    from google.api_core.exceptions import GoogleAPIError, NotFound
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage  # type: ignore[attr-defined]  # a namespace package without types

    bucket, _, name = uri.removeprefix("gs://").partition("/")
    anonymous = AnonymousCredentials() if endpoint else None  # type: ignore[no-untyped-call]
    options = {"api_endpoint": endpoint} if endpoint else None
    client = storage.Client(project="interlock", credentials=anonymous, client_options=options)
    try:
        path.write_bytes(client.bucket(bucket).blob(name).download_as_bytes())
    except NotFound:
        return
    except GoogleAPIError as error:
        raise EnvironmentProblem(f"{uri} cannot be read: {error}") from error


def load(library: str, path: Path) -> Predict:
    """The model's ``predict`` over a list of rows."""
    if path.suffix == ".bst":
        try:
            import xgboost  # type: ignore[import-not-found]
        except ImportError as error:
            raise EnvironmentProblem(
                f"{path.name} needs xgboost in the emulator's environment: pip install xgboost"
            ) from error
        booster = xgboost.Booster(model_file=str(path))
        return lambda rows: booster.predict(xgboost.DMatrix(rows)).tolist()
    import joblib

    model = joblib.load(path)
    if not hasattr(model, "predict"):
        raise InputError(f"{path.name} holds a {type(model).__name__}, which cannot predict: save the fitted model")
    return lambda rows: model.predict(rows).tolist()


def build(predict: Predict, settings: ServerSettings) -> Starlette:
    """Health and predict on the routes that the container spec names."""

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def answer(request: Request) -> Response:
        try:
            rows = msgspec.json.decode(await request.body(), type=dict[str, Any]).get("instances")
            if not isinstance(rows, list):
                raise ValueError("instances is not a list")
            return JSONResponse({"predictions": await run_in_threadpool(predict, rows)})
        except (msgspec.MsgspecError, ValueError, TypeError) as error:
            return JSONResponse({"error": f"the model refuses the instances: {error}"}, status_code=400)

    return Starlette(
        routes=[Route(settings.health_route, health), Route(settings.predict_route, answer, methods=["POST"])]
    )


class _Server(uvicorn.Server):
    """Says on stdout that it is ready, once it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started and sockets:
            ready = {"ready": True, "port": sockets[0].getsockname()[1]}
            sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
            sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM; an error a person can act on is one line on stderr."""
    try:
        settings = server_settings()
        with socket.create_server((settings.host, settings.port)) as listener:
            with _artifact(settings, FILES[arguments[0]]) as path:
                predict = load(arguments[0], path)
            config = uvicorn.Config(build(predict, settings), lifespan="off", access_log=False, log_level="warning")
            _Server(config).run(sockets=[listener])
    except InterlockError as error:
        sys.stderr.write(f"interlock.emulator.prebuilt: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
