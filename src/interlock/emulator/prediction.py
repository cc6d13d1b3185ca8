"""Predict and rawPredict: the hot path. Bodies are spliced, not re-encoded."""

from __future__ import annotations

import asyncio
import json
import math
import random
import time
from typing import NamedTuple

import msgspec

from interlock.emulator.deployments import Deployment, Deployments, Route
from interlock.emulator.names import Location
from interlock.emulator.replica import Replica
from interlock.emulator.rpc import error_body, invalid, not_found, precondition
from interlock.emulator.serving_log import Row, ServingLog
from interlock.emulator.upstream import CutOff, Reply, Unreachable

_JSON = {"content-type": "application/json"}
_WAIT_FOR_REPLICA_SECONDS = 10.0
_RETRY_SECONDS = 0.02


class _Request(msgspec.Struct):
    instances: msgspec.Raw


class _Response(msgspec.Struct):
    predictions: msgspec.Raw


_decode_request = msgspec.json.Decoder(_Request).decode
_decode_response = msgspec.json.Decoder(_Response).decode


class Answer(NamedTuple):
    """What goes back to the client."""

    status: int
    body: bytes
    headers: dict[str, str]


class _Exchange(NamedTuple):
    """One request and its answer, as they are logged. ``started`` is a ``perf_counter`` value."""

    started: float
    instances: bytes
    predictions: bytes
    status: int


class Prediction:
    """Chooses a deployed model by the traffic split, a replica in turn, and passes the request on."""

    def __init__(
        self,
        deployments: Deployments,
        serving_log: ServingLog,
        location: Location,
    ) -> None:
        self._deployments = deployments
        self._log = serving_log
        self._location = location

    async def predict(self, endpoint: str, body: bytes) -> Answer:
        """``{"instances": [...]}`` to ``{"predictions": [...], "deployedModelId", "model", …}``."""
        started = time.perf_counter()
        try:
            instances = bytes(_decode_request(body).instances)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise invalid(f'request body is not {{"instances": [...]}}: {error}') from error
        if not instances.startswith(b"["):
            raise invalid("instances is not a list")
        route, deployment = self._choose(endpoint)
        status, _, content = await self._ask(route, deployment, body, b"application/json")
        predictions = b"[]"
        if status == 200:
            try:
                predictions = _predictions(content)
            except (ValueError, RecursionError) as error:
                status = 500
                content = f'the model server did not answer {{"predictions": [...]}}: {error}'.encode()
        self._record(route, deployment, _Exchange(started, instances, predictions, status))
        if status == 200:
            return Answer(200, b'{"predictions":' + predictions + deployment.answer_tail, _JSON)
        return Answer(status, error_body(status, _message(content)), _JSON)

    async def raw_predict(self, endpoint: str, body: bytes, content_type: str) -> Answer:
        """The body as it is, both ways; headers say who answered."""
        started = time.perf_counter()
        route, deployment = self._choose(endpoint)
        status, kind, content = await self._ask(route, deployment, body, content_type.encode("latin-1"))
        # The log's columns are JSON arrays; a raw body that holds none is logged as [].
        instances = predictions = b"[]"
        try:
            instances = bytes(_decode_request(body).instances)
            predictions = bytes(_decode_response(content).predictions)
        except (msgspec.MsgspecError, RecursionError):
            pass
        self._record(route, deployment, _Exchange(started, instances, predictions, status))
        return Answer(
            status,
            content,
            {
                "content-type": kind,
                "X-Vertex-AI-Endpoint-Id": endpoint,
                "X-Vertex-AI-Deployed-Model-Id": deployment.id,
                "X-Vertex-AI-Model": deployment.model,
                "X-Vertex-AI-Model-Version-Id": deployment.version,
            },
        )

    def _choose(self, endpoint: str) -> tuple[Route, Deployment]:
        route = self._deployments.routes.get(endpoint)
        if route is None:
            raise not_found(self._location.name("endpoints", endpoint))
        deployment = route.choose()
        if deployment is None:
            raise precondition(f"endpoint {endpoint} has no deployed model with traffic: set its trafficSplit")
        return route, deployment

    async def _ask(self, route: Route, deployment: Deployment, body: bytes, content_type: bytes) -> Reply:
        """A replica's answer.

        A request that reached no server waits for one. One that was cut off is sent once more, to another
        replica if there is one: a prediction changes nothing, so asking twice is harmless.
        """
        deployment.in_flight += 1
        tried: Replica | None = None
        deadline = time.monotonic() + _WAIT_FOR_REPLICA_SECONDS
        try:
            while time.monotonic() < deadline:
                replica = deployment.next_replica(tried) or deployment.next_replica()
                if replica is None:
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                try:
                    return await _post(replica, body, content_type, route.seconds)
                except Unreachable:
                    await asyncio.sleep(_RETRY_SECONDS)  # dead, and not yet noticed
                except CutOff:
                    if tried is not None:
                        break
                    tried = replica
        except TimeoutError:
            return Reply(504, "", f"the model server took longer than {route.seconds:g} s".encode())
        finally:
            deployment.in_flight -= 1
        return Reply(503, "", f"no model server of deployed model {deployment.id} answers; try again".encode())

    def _record(self, route: Route, deployment: Deployment, exchange: _Exchange) -> None:
        if route.log_rate < 1.0 and not (route.log_rate and random.random() < route.log_rate):
            return
        row = Row(
            route.endpoint,
            deployment.id,
            deployment.version,
            time.time(),
            exchange.instances,
            exchange.predictions if exchange.status == 200 else b"[]",
            exchange.status,
            (time.perf_counter() - exchange.started) * 1000,
        )
        self._log.append(row)


async def _post(replica: Replica, body: bytes, content_type: bytes, seconds: float) -> Reply:
    if replica.upstream is None:
        raise Unreachable
    replica.in_flight += 1
    try:
        return await replica.upstream.post(body, content_type, seconds)
    finally:
        replica.in_flight -= 1


def _predictions(content: bytes) -> bytes:
    """The predictions in a server's answer; NaN and infinities, which JSON has not, as text: as protobuf does it."""
    try:
        return bytes(_decode_response(content).predictions)
    except msgspec.MsgspecError:
        document = json.loads(content)
        if not isinstance(document, dict) or "predictions" not in document:
            raise
        return msgspec.json.encode(_finite(document["predictions"]))


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _message(content: bytes) -> str:
    """The server's error message, whatever form it has."""
    text = content.decode(errors="replace")[:1000]
    try:
        document = msgspec.json.decode(content)
    except msgspec.MsgspecError:
        return text
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return str(error["message"])
    return error if isinstance(error, str) else text
