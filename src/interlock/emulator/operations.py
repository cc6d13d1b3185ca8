"""Long-running operations.

::

    begin ──> running ──commit──> committed ──finish──> done(response)
                 │                    │
                 └──fail──> done(error)└── restart ──> done(response)
                 │ cancel ──> done(error CANCELLED)
              restart ──> done(error ABORTED)

``commit`` is written in the transaction that changes the resource, so an operation killed between the change
and its end still ends in success.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

from interlock.emulator.call import Call, duration_seconds
from interlock.emulator.listing import page
from interlock.emulator.names import Location, new_id, timestamp
from interlock.emulator.rpc import Document, RpcError, not_found, precondition
from interlock.emulator.store import Store, public
from interlock.errors import InterlockError

_KIND = "operation"
_EMPTY = "type.googleapis.com/google.protobuf.Empty"
_POLL_SECONDS = 0.05
_WAIT_SECONDS = 30.0
log = logging.getLogger(__name__)


class Operations:
    """Operations of one emulator, in its store."""

    def __init__(self, store: Store, location: Location) -> None:
        self._store = store
        self._location = location
        self._stopping = False
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, call: Call, method: str) -> Document:
        """A new running operation of ``method``, for instance ``DeployModel``."""
        now = timestamp()
        kind = f"type.googleapis.com/google.cloud.aiplatform.{call.version}.{method}OperationMetadata"
        if "Delete" in method:
            kind = f"type.googleapis.com/google.cloud.aiplatform.{call.version}.DeleteOperationMetadata"
        return self._store.put(
            _KIND,
            {
                "name": self._location.name("operations", new_id()),
                "metadata": {"@type": kind, "genericMetadata": {"createTime": now, "updateTime": now}},
                "done": False,
            },
        )

    def complete(self, call: Call, method: str, message: str, response: Document) -> Document:
        """An operation that is done at once; ``message`` is the type of ``response``, '' for Empty."""
        operation = self.begin(call, method)
        self.commit(operation["name"], call.version, message, response)
        return self.finish(operation["name"])

    def commit(self, name: str, version: str, message: str, response: Document) -> None:
        """Note the response; from here on the operation can only succeed."""
        operation = self._read(name)
        kind = f"type.googleapis.com/google.cloud.aiplatform.{version}.{message}" if message else _EMPTY
        self._store.put(_KIND, {**operation, "_response": {"@type": kind, **response}})

    def finish(self, name: str) -> Document:
        """Mark a committed operation as done."""
        operation = self._read(name)
        operation["metadata"]["genericMetadata"]["updateTime"] = timestamp()
        operation["response"] = operation.pop("_response")
        return answer(self._store.put(_KIND, {**operation, "done": True}))

    def fail(self, name: str, error: RpcError) -> None:
        """End an operation with an error."""
        operation = self._read(name)
        operation["metadata"]["genericMetadata"]["updateTime"] = timestamp()
        self._store.put(_KIND, {**operation, "done": True, "error": error.as_status()})

    def run(self, name: str, work: Coroutine[None, None, None]) -> None:
        """Do ``work`` in the background; it commits, and its failure ends the operation."""
        task = asyncio.create_task(self._guard(name, work))
        self._tasks[name] = task
        task.add_done_callback(lambda _task: self._tasks.pop(name, None))

    async def _guard(self, name: str, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except RpcError as error:
            self.fail(name, error)
        except (InterlockError, OSError) as error:
            self.fail(name, precondition(str(error)))
        except asyncio.CancelledError:
            if self._stopping:
                raise
            self.fail(name, RpcError("CANCELLED", "the operation was cancelled; nothing was changed"))
        else:
            self.finish(name)

    async def stop(self) -> None:
        """Abandon what runs; the next start ends it."""
        self._stopping = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def recover(self) -> None:
        """After a restart: end every operation that was running."""
        for operation in self._store.all(_KIND):
            if operation["done"]:
                continue
            if "_response" in operation:
                self.finish(operation["name"])
            else:
                stopped = "the emulator stopped before this operation finished; start it again"
                self.fail(operation["name"], RpcError("ABORTED", stopped))

    def _read(self, name: str) -> Document:
        operation = self._store.get(name)
        if operation is None:
            raise not_found(name)
        return operation

    # --- calls -----------------------------------------------------------------------------------------

    def get(self, call: Call) -> Document:
        """GetOperation. The id alone identifies it, whatever resource the name hangs under."""
        return answer(self._read(self._location.name("operations", call.ids[-1])))

    def list_operations(self, call: Call) -> Document:
        """ListOperations."""
        return page([answer(operation) for operation in self._store.all(_KIND)], call.query, "operations")

    def cancel(self, call: Call) -> Document:
        """CancelOperation: best effort, as documented. One that has changed its resource goes on to its end."""
        operation = self._read(self._location.name("operations", call.ids[-1]))
        task = self._tasks.get(operation["name"])
        if task is not None and "_response" not in operation:
            task.cancel()
        return {}

    def delete(self, call: Call) -> Document:
        """DeleteOperation, once it is done."""
        operation = self._read(self._location.name("operations", call.ids[-1]))
        if not operation["done"]:
            raise precondition(f"{operation['name']} is still running: wait for it, or cancel it")
        self._store.delete(operation["name"])
        return {}

    async def wait(self, call: Call) -> Document:
        """WaitOperation: answers when done, or at ``timeout`` as it is then."""
        asked = str(call.body.get("timeout") or call.query.get("timeout", ""))
        deadline = asyncio.get_running_loop().time() + min(duration_seconds(asked, _WAIT_SECONDS), 600.0)
        while not (operation := self.get(call))["done"]:
            if asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(_POLL_SECONDS)
        return operation


def answer(operation: Document) -> Document:
    """An operation as it is answered."""
    answer = public(operation)
    answer.pop("etag", None)
    return answer
