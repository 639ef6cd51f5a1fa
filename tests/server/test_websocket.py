"""NATS over WebSocket on CPython, byte by byte: a relay sees what the client sends."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agents_core import nats
from agents_core.ids import unique
from agents_server.nats_server import LOOPBACK, NatsServer
from tests.core.nats.scripted import unhandled

pytestmark = pytest.mark.nats


@asynccontextmanager
async def relay(
    server: NatsServer, *, without: bytes = b"-"
) -> AsyncIterator[tuple[str, list[bytes], asyncio.Event]]:
    """A proxy of one connection that drops a header line of the handshake.

    Gives its URL, what it was sent, and the event that this is all.
    """
    sent: list[bytes] = []
    ended = asyncio.Event()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up, down = await asyncio.open_connection(LOOPBACK, server.websocket_port)
        request = await reader.readuntil(b"\r\n\r\n")
        lines = [line for line in request.split(b"\r\n") if not line.startswith(without)]
        down.write(b"\r\n".join(lines))
        back = asyncio.create_task(copy(up, writer))
        while data := await reader.read(65536):
            sent.append(data)
            down.write(data)
        down.close()
        await back
        ended.set()

    listener = await asyncio.start_server(serve, LOOPBACK, 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield f"ws://{LOOPBACK}:{port}", sent, ended


@pytest.mark.parametrize(("without", "masked"), [(b"-", False), (b"Nats-No-Masking", True)])
async def test_the_mask_is_left_out_where_the_server_agrees(
    nats_server: NatsServer, without: bytes, masked: bool
) -> None:
    subject, payload = unique(), bytes(range(256)) * 600
    async with relay(nats_server, without=without) as (url, sent, ended):
        nc = await nats.connect(url)
        subscription = await nc.subscribe(subject)
        nc.publish(subject, payload)
        assert (await subscription.next_msg()).data == payload
        assert (b"CONNECT {" in b"".join(sent)) is not masked
        await nc.close()
        await ended.wait()
        frames = b"".join(sent)
    assert frames[1] & 0x80 == (0x80 if masked else 0)
    assert (frames[-4:] == b"\x88\x02\x03\xe8") is not masked  # the good-bye, too


async def test_no_message_is_larger_than_servers_that_inflate_can_take(
    nats_server: NatsServer,
) -> None:
    async with relay(nats_server) as (url, sent, ended):
        nc = await nats.connect(url)
        nc.publish("large", bytes(200_000))
        await nc.close()
        await ended.wait()
    data, sizes = b"".join(sent), []
    while data:
        size, head = data[1], 2
        if size == 126:
            size, head = int.from_bytes(data[2:4]), 4
        elif size == 127:
            size, head = int.from_bytes(data[2:10]), 10
        sizes.append(size)
        data = data[head + size :]
    assert max(sizes) == 64 * 1024


async def test_who_gives_up_connecting_leaves_no_error_behind(nats_server: NatsServer) -> None:
    with unhandled() as errors:
        for turns in range(1, 100):
            connecting = asyncio.create_task(nats.connect(nats_server.websocket_url))
            for _ in range(turns):
                await asyncio.sleep(0)
            if not connecting.cancel():
                break
            await asyncio.wait([connecting])
        nc = await connecting
        del connecting
        gc.collect()  # which is when asyncio tells of an error that nobody has seen
        assert errors == []
    await nc.close()


class Foreign:
    """As uvloop's transports: nothing of asyncio is their base class."""

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


async def test_the_loop_may_have_transports_of_its_own(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    create_connection = loop.create_connection

    async def create(factory: Any, *args: Any, **kwargs: Any) -> Any:
        def make() -> asyncio.Protocol:
            protocol: asyncio.Protocol = factory()
            made = protocol.connection_made
            monkeypatch.setattr(protocol, "connection_made", lambda one: made(Foreign(one)))
            return protocol

        return await create_connection(make, *args, **kwargs)

    monkeypatch.setattr(loop, "create_connection", create)
    nc = await nats.connect(nats_server.websocket_url)
    await nc.flush()
    await nc.close()
