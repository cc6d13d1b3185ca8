"""Load on an endpoint over real HTTP, and the outcomes that follow: who answered what, when, and what was lost."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from typing import Any

import msgspec

from interlock.contracts import Place
from interlock.rehearsal.actor import outcome
from interlock.settings import emulator_headers
from interlock.vertex.client import parent
from interlock.warehouse import open_warehouse, outcomes

CONNECTIONS = 8


class Sent(msgspec.Struct, frozen=True):
    """One request: when it was sent and answered (``time.monotonic``), HTTP status (0 = no answer), who answered."""

    sent: float
    answered: float
    status: int
    version: str


class Load:
    """Asks in a thread of its own while the block runs. ``sent`` grows; outcomes are written as answers come."""

    def __init__(self, place: Place, endpoint: str, per_second: int = 400, with_outcomes: bool = True) -> None:
        self._url = f"{place.api_endpoint}/v1/{parent(place)}/endpoints/{endpoint}:predict"
        self._warehouse, self._gap, self._with_outcomes = place.warehouse, CONNECTIONS / per_second, with_outcomes
        self._keys = (f"load-{time.time_ns()}-{number}" for number in itertools.count())
        self._chance, self._due = random.Random(11), list[dict[str, Any]]()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.sent: list[Sent] = []

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        import aiohttp

        limit = aiohttp.ClientTimeout(total=15)
        async with aiohttp.ClientSession(timeout=limit, headers=emulator_headers()) as session:
            workers = [self._ask(session) for _ in range(CONNECTIONS)]
            await asyncio.gather(*workers, self._write_outcomes())

    async def _ask(self, session: Any) -> None:
        due = time.monotonic() + self._chance.random() * self._gap
        while not self._stop.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due + self._gap, time.monotonic() - 0.1)
            key, x = next(self._keys), round(self._chance.random(), 6)
            self.sent.append(await self._one(session, key, x))

    async def _one(self, session: Any, key: str, x: float) -> Sent:
        import aiohttp

        body = msgspec.json.encode({"instances": [{"row_key": key, "x": x}]})
        began, status, version = time.monotonic(), 0, ""
        try:
            async with session.post(self._url, data=body, headers={"Content-Type": "application/json"}) as answer:
                status, text = answer.status, await answer.read()
                version = msgspec.json.decode(text).get("modelVersionId", "") if status == 200 else ""
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        if status == 200:
            self._due.append({"row_key": key, "outcome": outcome(x), "time": time.time()})
        return Sent(began, time.monotonic(), status, version)

    async def _write_outcomes(self) -> None:
        import sqlalchemy as sa

        if not self._with_outcomes:
            return
        engine = open_warehouse(self._warehouse)
        while not self._stop.is_set():
            await asyncio.sleep(0.1)
            rows, self._due = self._due, []
            if rows:
                try:
                    await asyncio.to_thread(_insert, engine, rows)
                except sa.exc.SQLAlchemyError:
                    continue  # the drill took the table away: those outcomes are lost, as they would be
        engine.dispose()


def _insert(engine: Any, rows: list[dict[str, Any]]) -> None:
    with engine.begin() as connection:
        connection.execute(outcomes.insert(), rows)
