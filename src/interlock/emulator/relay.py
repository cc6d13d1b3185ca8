"""A way from containers to a storage emulator that listens on this machine's loopback only.

::

    model server in a container ──> gateway of Docker's bridge, any port ──> 127.0.0.1, port of the storage emulator
                                    only from addresses of the bridge

Model servers stay on the bridge: on the network of the host, whatever an image listens on would be open to other
machines. Where Docker runs in a virtual machine, the gateway is no address of this one, and
``host.docker.internal`` leads to loopback by itself.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from contextlib import suppress
from urllib.parse import urlsplit

from interlock.local.containers import bridge

_BLOCK = 64 * 1024
HOST = "host.docker.internal"  # docker_command gives containers this name for the gateway
log = logging.getLogger(__name__)


class StorageRelay:
    """``endpoint`` of the storage emulator, '' for none; listens from the first container on, to the emulator's end."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._subnet: ipaddress.IPv4Network | None = None
        self._lock = asyncio.Lock()
        self._server: asyncio.Server | None = None

    async def from_containers(self) -> str:
        """``endpoint`` as a container on Docker's bridge reaches it."""
        parts = urlsplit(self.endpoint)
        if not _is_loopback(parts.hostname or ""):
            return self.endpoint
        async with self._lock:
            if self._server is None:
                gateway, subnet = await asyncio.to_thread(bridge)
                with suppress(OSError):  # not an address of this machine: Docker runs in a virtual one
                    self._server = await asyncio.start_server(self._relay, gateway, 0) if gateway else None
                    self._subnet = ipaddress.IPv4Network(subnet) if subnet else None
        port = self._server.sockets[0].getsockname()[1] if self._server is not None else parts.port
        return f"{parts.scheme}://{HOST}:{port}"

    async def stop(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")[0]
        if self._subnet is None or ipaddress.IPv4Address(peer) not in self._subnet:
            log.warning("storage relay: refused %s, which is not in %s", peer, self._subnet)
            writer.close()
            return
        target = urlsplit(self.endpoint)
        await relay(reader, writer, target.hostname or "", target.port or 80)


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    """Pass on both ways, until the other end, ``host`` and ``port``, has closed its side."""
    try:
        answers, requests = await asyncio.open_connection(host, port)
    except OSError as error:
        log.warning("%s:%d does not answer: %s", host, port, error)
        writer.close()
        return
    sending = asyncio.create_task(_copy(reader, requests))
    try:
        await _copy(answers, writer)
    finally:
        sending.cancel()
        requests.close()
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one of them is closed."""
    with suppress(ConnectionError):
        while block := await reader.read(_BLOCK):
            writer.write(block)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
