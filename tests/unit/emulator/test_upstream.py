"""The client of model servers against servers that behave badly, over real sockets."""

import asyncio

import pytest

from interlock.emulator.upstream import CutOff, Unreachable, Upstream

OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/x\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """Answers each request with the next of ``answers``: bytes, or None to close. Counts its connections."""

    def __init__(self, *answers, pause=0.0, close=False):
        self.answers = list(answers)
        self.pause = pause
        self.close = close
        self.connections = 0
        self.bodies = []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.upstream = Upstream(self.server.sockets[0].getsockname()[1], "/predict")
        return self

    async def __aexit__(self, *_):
        self.upstream.close()
        self.server.close()

    async def serve(self, reader, writer):
        self.connections += 1
        while self.answers and (head := await reader.readuntil(b"\r\n\r\n")):
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            self.bodies.append(await reader.readexactly(length))
            await asyncio.sleep(self.pause)
            answer = self.answers.pop(0)
            if answer is None:
                break
            for start in range(0, len(answer), 20):
                writer.write(answer[start : start + 20])
                await writer.drain()
            if self.close:
                break
        writer.close()


def run(work):
    return asyncio.run(asyncio.wait_for(work(), 20))


def test_connections_are_kept_and_used_again():
    async def work():
        async with Server(OK, OK, OK) as server:
            for body in (b"a", b"", b"x" * 300_000):
                reply = await server.upstream.post(body, b"application/json", 5)
                assert reply == (200, "text/x", b"ok")
            assert server.connections == 1
            assert server.bodies == [b"a", b"", b"x" * 300_000]

    run(work)


def test_requests_at_once_have_a_connection_each():
    async def work():
        async with Server(*[OK] * 5, pause=0.05) as server:
            replies = await asyncio.gather(*(server.upstream.post(b"x", b"a/b", 5) for _ in range(5)))
            assert [reply.body for reply in replies] == [b"ok"] * 5
            assert server.connections == 5

    run(work)


@pytest.mark.parametrize(
    ("answer", "close"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok", True),
    ],
)
def test_bodies_in_chunks_and_to_the_end_of_the_connection(answer, close):
    async def work():
        async with Server(answer, OK, close=close) as server:
            assert (await server.upstream.post(b"x", b"a/b", 5)).body == b"ok"
            assert (await server.upstream.post(b"x", b"a/b", 5)).body == b"ok"

    run(work)


@pytest.mark.parametrize(
    "answer", [None, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok", b"HTTP/1.1 200", b"rubbish\r\n\r\n"]
)
def test_what_ends_in_the_middle_is_cut_off(answer):
    async def work():
        async with Server(answer, OK, close=True) as server:
            with pytest.raises(CutOff):
                await server.upstream.post(b"x", b"a/b", 5)
            assert (await server.upstream.post(b"x", b"a/b", 5)).status == 200

    run(work)


def test_a_late_answer_is_not_the_answer_to_the_next_request():
    async def work():
        late = OK.replace(b"ok", b"no")
        async with Server(late, OK, pause=0.2) as server:
            with pytest.raises(TimeoutError):
                await server.upstream.post(b"x", b"a/b", 0.05)
            assert (await server.upstream.post(b"x", b"a/b", 5)).body == b"ok"
            assert server.connections == 2

    run(work)


def test_a_client_that_goes_away_leaves_no_answer_behind():
    async def work():
        late = OK.replace(b"ok", b"no")
        async with Server(late, OK, pause=0.2) as server:
            request = asyncio.create_task(server.upstream.post(b"x", b"a/b", 5))
            await asyncio.sleep(0.05)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
            assert (await server.upstream.post(b"x", b"a/b", 5)).body == b"ok"

    run(work)


def test_nobody_listens():
    async def work():
        async with Server() as server:
            server.server.close()
            await server.server.wait_closed()
            with pytest.raises(Unreachable):
                await server.upstream.post(b"x", b"a/b", 5)

    run(work)
