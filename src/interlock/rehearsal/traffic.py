"""The business, replayed: asks the endpoint row by row, and reports afterwards what turned out to be true.

A process of its own, so that asking does not wait for judging::

    python -m interlock.rehearsal.traffic PLAN.json     until SIGTERM; counts go to the plan's progress file
"""

from __future__ import annotations

import asyncio
import itertools
import math
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from interlock.settings import emulator_headers
from interlock.warehouse import open_warehouse, outcomes

FLUSH_SECONDS = 0.1
PROGRESS_SECONDS = 0.5


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to replay, where to. ``rows``: Parquet with row_key, the label and the columns a caller knows."""

    url: str
    warehouse: str
    rows: str
    label: str
    fields: list[str]
    requests_per_second: int
    connections: int
    progress: str


class Progress(msgspec.Struct, kw_only=True):
    """Requests so far; ``answers`` counts by model version."""

    sent: int = 0
    failed: int = 0
    answers: dict[str, int] = {}


def requests(plan: Plan) -> Iterator[tuple[str, int, bytes]]:
    """Endless (row key, outcome, request body)."""
    import pyarrow.parquet as pq

    from interlock.features.query import KEY

    table = pq.read_table(plan.rows, columns=[KEY, plan.label, *plan.fields])
    encode = msgspec.json.Encoder().encode
    while True:
        for batch in table.to_batches(max_chunksize=4096):
            for row in batch.to_pylist():
                outcome = row.pop(plan.label)
                # NaN is not JSON: a number that is not known is null.
                known = {name: None if _is_nan(value) else value for name, value in row.items()}
                yield row[KEY], outcome, encode({"instances": [known]})


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


async def replay(plan: Plan, stop: asyncio.Event) -> Progress:
    """Send at the plan's rate until ``stop``; every answered row's outcome is written after its answer.

    Begins once the endpoint answers, with the row after the last one sent before.
    """
    import aiohttp

    progress = _earlier(Path(plan.progress))
    done: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    paced = _Pace(itertools.islice(requests(plan), progress.sent, None), plan.requests_per_second)
    connector = aiohttp.TCPConnector(limit=plan.connections)
    async with aiohttp.ClientSession(connector=connector, headers=emulator_headers()) as session:
        await _until_answered(session, plan, stop)
        workers = [
            asyncio.create_task(_ask(session, plan.url, paced, done, progress, stop)) for _ in range(plan.connections)
        ]
        reporters = [
            asyncio.create_task(_write_outcomes(plan, done, stop)),
            asyncio.create_task(_write_progress(plan, progress, stop)),
        ]
        await asyncio.gather(*workers, *reporters)
    return progress


def _earlier(path: Path) -> Progress:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Progress)
    except FileNotFoundError:
        return Progress()


async def _until_answered(session: Any, plan: Plan, stop: asyncio.Event) -> None:
    """Wait for the endpoint: before its first version stands there, nobody asks."""
    import aiohttp

    _, _, body = next(requests(plan))
    while not stop.is_set():
        try:
            async with session.post(plan.url, data=body, headers={"Content-Type": "application/json"}) as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.2)


class _Pace:
    """Hands out rows no faster than the rate; one clock for all workers."""

    def __init__(self, rows: Iterator[tuple[str, int, bytes]], rate: int) -> None:
        self._rows, self._gap, self._next = rows, 1 / rate, time.monotonic()

    async def take(self) -> tuple[str, int, bytes]:
        now = time.monotonic()
        self._next = max(self._next + self._gap, now - 0.1)  # what was missed is not made up for
        if (wait := self._next - now) > 0.001:
            await asyncio.sleep(wait)
        return next(self._rows)


async def _ask(
    session: Any,
    url: str,
    rows: _Pace,
    done: asyncio.Queue[tuple[str, int]],
    progress: Progress,
    stop: asyncio.Event,
) -> None:
    import aiohttp

    while not stop.is_set():
        key, outcome, body = await rows.take()
        progress.sent += 1
        try:
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
                text = await answer.read()
                if answer.status != 200:
                    progress.failed += 1
                    continue
        except aiohttp.ClientError:
            progress.failed += 1
            await asyncio.sleep(0.05)
            continue
        version = msgspec.json.decode(text).get("modelVersionId", "")
        progress.answers[version] = progress.answers.get(version, 0) + 1
        done.put_nowait((key, outcome))


async def _write_outcomes(plan: Plan, done: asyncio.Queue[tuple[str, int]], stop: asyncio.Event) -> None:
    from sqlalchemy.dialects.sqlite import insert

    engine = open_warehouse(plan.warehouse)
    statement = insert(outcomes).on_conflict_do_nothing()  # a row that is replayed again has its outcome already

    def write(rows: list[dict[str, Any]]) -> None:
        with engine.begin() as connection:
            connection.execute(statement, rows)

    while not stop.is_set() or not done.empty():
        await asyncio.sleep(FLUSH_SECONDS)
        now = time.time()
        rows = [{"row_key": key, "outcome": outcome, "time": now} for key, outcome in _drain(done)]
        if rows:
            await asyncio.to_thread(write, rows)


def _drain(done: asyncio.Queue[tuple[str, int]]) -> list[tuple[str, int]]:
    return [done.get_nowait() for _ in range(done.qsize())]


async def _write_progress(plan: Plan, progress: Progress, stop: asyncio.Event) -> None:
    path = Path(plan.progress)
    while not stop.is_set():
        await asyncio.sleep(PROGRESS_SECONDS)
        draft = path.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(progress))
        draft.replace(path)


async def _main(plan: Plan) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await replay(plan, stop)


if __name__ == "__main__":
    asyncio.run(_main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)))
