"""What the tests of JetStream share: contexts over every bus, streams, waiting for the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agents_core import nats
from agents_core.bus import Bus, Status
from agents_core.ids import unique
from agents_core.nats.jetstream import JetStreamContext
from agents_core.nats.options import Options
from agents_server.nats_py import NatsPyBus
from agents_server.nats_server import NatsServer

BUSES = pytest.mark.parametrize("kind", ["tcp", "websocket", "nats_py"])


async def connect(server: NatsServer, kind: str) -> Bus:
    if kind == "nats_py":
        bus = NatsPyBus(Options(servers=[server.url], reconnect_time_wait=0.1))
        await bus.connect()
        return bus
    url = server.url if kind == "tcp" else server.websocket_url
    return await nats.connect(url, reconnect_time_wait=0.1)


@asynccontextmanager
async def jetstream(
    server: NatsServer, kind: str = "tcp", **options: object
) -> AsyncIterator[JetStreamContext]:
    bus = await connect(server, kind)
    try:
        yield JetStreamContext(bus, **options)
    finally:
        await bus.close()


@asynccontextmanager
async def stream(
    server: NatsServer, kind: str = "tcp", **config: object
) -> AsyncIterator[tuple[JetStreamContext, str]]:
    """A context and a fresh stream that stores `<name>.>`.

    It stays: a server that deletes its last stream fails to make one at the same moment.
    """
    name = unique()
    async with jetstream(server, kind) as js:
        await js.add_stream(name=name, subjects=[f"{name}.>"], **config)
        yield js, name


async def fill(js: JetStreamContext, name: str, count: int, subject: str = "a") -> None:
    for number in range(count):
        await js.publish_async(f"{name}.{subject}", b"%d" % number)
    await js.publish_async_completed()


async def waiting(js: JetStreamContext, name: str, consumer: str) -> None:
    """Wait until the server has a request for messages."""
    while not (await js.consumer_info(name, consumer)).num_waiting:
        await asyncio.sleep(0)


async def restart(server: NatsServer, bus: Bus) -> None:
    """Kill the server and start it again; return when the bus has noticed both."""
    server.kill()
    await until(bus, Status.RECONNECTING)
    server.start()
    await until(bus, Status.CONNECTED)


async def until(bus: Bus, wanted: Status) -> None:
    """Wait for a status; the test's deadline bounds it."""
    reached = asyncio.Event()
    remove = bus.on_status(lambda now: reached.set() if now is wanted else None)
    if bus.status is not wanted:
        await reached.wait()
    remove()


async def gone(js: JetStreamContext, name: str) -> None:
    """Wait until the stream has no consumer."""
    while await js.consumer_names(name):
        await asyncio.sleep(0)
