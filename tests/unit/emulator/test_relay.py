"""The way from containers to storage on loopback, with a network of this machine in the place of Docker's bridge."""

import asyncio
from urllib.parse import urlsplit

import pytest

from interlock.emulator.relay import StorageRelay


def docker_that_says(monkeypatch, folder, bridge):
    folder.mkdir()
    (folder / "docker").write_text(f"#!/bin/sh\necho '{bridge}'\n")
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


async def echo(reader, writer):
    writer.write(b"got " + await reader.read())
    await writer.drain()
    writer.close()


async def asked(relay, content):
    """What the echo server behind ``relay`` answers."""
    port = urlsplit(await relay.from_containers()).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(content)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(("subnet", "answer"), [("127.0.0.0/8", b"got "), ("172.17.0.0/16", b"")])
def test_it_relays_for_addresses_of_the_bridge_only(monkeypatch, tmp_path, subnet, answer):
    docker_that_says(monkeypatch, tmp_path / "bin", f"127.0.0.1 {subnet}")
    content = b"x" * 3_000_000

    async def run():
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as storage:
            relay = StorageRelay(f"http://127.0.0.1:{storage.sockets[0].getsockname()[1]}")
            first = await relay.from_containers()
            assert first == await relay.from_containers(), "one relay for all"
            try:
                return await asked(relay, content)
            finally:
                await relay.stop()

    try:
        found = asyncio.run(run())
    except ConnectionError:  # refused with the content half sent
        found = b""
    assert found == (answer + content if answer else b"")


def test_storage_that_does_not_answer_closes_the_connection(monkeypatch, tmp_path):
    docker_that_says(monkeypatch, tmp_path / "bin", "127.0.0.1 127.0.0.0/8")

    async def run():
        relay = StorageRelay("http://127.0.0.1:1")
        try:
            return await asked(relay, b"x")
        finally:
            await relay.stop()

    assert asyncio.run(run()) == b""


def test_an_address_that_containers_reach_stays_as_it_is():
    assert asyncio.run(StorageRelay("http://storage:9023").from_containers()) == "http://storage:9023"
