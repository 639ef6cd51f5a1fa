"""What a user orders about servers: each client obeys alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from agents_core import nats
from agents_core.bus import Status
from agents_core.errors import ConnectionClosed, NotConnected, TransportError, Unsupported
from agents_core.nats.options import Options
from agents_server.nats_py import NatsPyBus
from agents_server.nats_server import NatsServer, free_port
from tests.nats_cluster import cluster, knows, until

pytestmark = pytest.mark.nats

Either: TypeAlias = nats.Client | NatsPyBus
Connect: TypeAlias = Callable[..., Awaitable[Either]]


async def ours(servers: list[str], **options: Any) -> nats.Client:
    return await nats.connect(servers, **options)


async def nats_py(servers: list[str], **options: Any) -> NatsPyBus:
    bus = NatsPyBus(Options(servers=servers, **options))
    await bus.connect()
    return bus


BOTH = pytest.mark.parametrize("connect", [ours, nats_py], ids=lambda connect: connect.__name__)


@asynccontextmanager
async def connected(connect: Connect, *servers: str, **options: Any) -> AsyncIterator[Either]:
    quick = {"dont_randomize": True, "reconnect_time_wait": 0.05, "max_reconnect_attempts": -1}
    client = await connect(list(servers), **(quick | options))
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[list[NatsServer]]:
    """Two servers that know nothing of one another."""
    servers = [NatsServer(tmp_path / name) for name in ("one", "two")]
    for server in servers:
        server.start()
    yield servers
    for server in servers:
        server.kill()


@BOTH
async def test_to_the_next_server_behind_what_was_published(
    connect: Connect, two: list[NatsServer]
) -> None:
    one, other = (server.url for server in two)
    events: list[str] = []
    callbacks = {f"{n}_cb": lambda n=n: events.append(n) for n in ("disconnected", "reconnected")}
    told = {"error_cb": lambda error: events.append(str(error))}
    async with (
        connected(connect, one, other, **callbacks, **told) as client,
        connected(ours, one) as before,
        connected(ours, other) as after,
    ):
        await client.subscribe("silent")
        kept = await client.subscribe("kept")
        words = await before.subscribe("words")
        await before.flush()
        asked = asyncio.create_task(client.request("silent", timeout=20))
        await client.flush()
        for index in range(1000):
            client.publish("words", b"%d" % index)
        await client.force_reconnect()
        assert client.status is Status.RECONNECTING
        await client.force_reconnect()  # it is on its way already
        with pytest.raises(NotConnected):
            await asked
        await until(client, Status.CONNECTED)
        await client.flush()
        assert client.url == other
        assert [int((await words.next_msg(5)).data) for _ in range(1000)] == list(range(1000))
        after.publish("kept", b"here")
        assert (await kept.next_msg(5)).data == b"here"
        assert events == ["disconnected", "reconnected"]
        assert client.stats.reconnects == 1


@BOTH
async def test_once_for_all_who_ask_at_once(connect: Connect, nats_server: NatsServer) -> None:
    async with connected(connect, nats_server.url) as client:
        await asyncio.gather(*(client.force_reconnect() for _ in range(10)))
        await until(client, Status.CONNECTED)
        await client.flush()
        assert client.stats.reconnects == 1


@BOTH
async def test_never_without_reconnects(connect: Connect, nats_server: NatsServer) -> None:
    async with connected(connect, nats_server.url, allow_reconnect=False) as client:
        await client.force_reconnect()
        assert client.status is Status.CONNECTED
        await client.flush()
        await client.close()
        await client.force_reconnect()
        assert client.status is Status.CLOSED


@BOTH
async def test_what_is_sought_already_is_left_alone(
    connect: Connect, own_nats_server: NatsServer
) -> None:
    async with connected(connect, own_nats_server.url) as client:
        own_nats_server.kill()
        await until(client, Status.RECONNECTING)
        await client.force_reconnect()
        assert client.status is Status.RECONNECTING
        own_nats_server.start()
        await until(client, Status.CONNECTED)
        assert client.stats.reconnects == 1


@BOTH
async def test_with_new_credentials(connect: Connect, tmp_path: Path) -> None:
    rules = 'authorization { users: [ {user: "u1", password: p}, {user: "u2", password: p} ] }'
    server = NatsServer(tmp_path, extra=rules)
    server.start()
    numbers = count(1)
    users = {"user": lambda: f"u{next(numbers)}", "password": "p"}
    try:
        async with connected(connect, server.url, **users) as client:
            await client.force_reconnect()
            await until(client, Status.CONNECTED)
            await client.flush()
        assert next(numbers) == 3
    finally:
        server.kill()


@BOTH
async def test_another_pool_while_connected(connect: Connect, two: list[NatsServer]) -> None:
    one, other = (server.url for server in two)
    nobody = f"nats://127.0.0.1:{free_port()}"
    errors: list[Exception] = []
    async with connected(connect, one, error_cb=errors.append) as client:
        client.set_server_pool([nobody, other])
        assert client.servers == [nobody, other]
        with pytest.raises(TransportError, match="no server"):
            client.set_server_pool([])
        with pytest.raises(Unsupported):
            client.set_server_pool([one, "http://127.0.0.1"])
        assert client.servers == [nobody, other]
        await client.flush()
        assert client.url == one
        await client.force_reconnect()
        await until(client, Status.CONNECTED)
        assert client.url == other
        assert [type(error) for error in errors] == [TransportError]
    with pytest.raises(ConnectionClosed):
        client.set_server_pool([one])


@BOTH
async def test_another_pool_while_the_servers_are_gone(
    connect: Connect, two: list[NatsServer]
) -> None:
    one, other = two
    async with connected(connect, one.url) as client:
        subscription = await client.subscribe("a")
        one.kill()
        await until(client, Status.RECONNECTING)
        client.publish("a", b"waits")
        client.set_server_pool([other.url])
        await until(client, Status.CONNECTED)
        assert client.url == other.url
        assert (await subscription.next_msg(5)).data == b"waits"


@BOTH
async def test_another_pool_in_place_of_what_the_cluster_said(
    connect: Connect, tmp_path: Path
) -> None:
    """The next server says it again, as long as that is not ignored."""
    with cluster(tmp_path) as servers:
        urls = [server.url for server in servers]
        async with connected(connect, urls[0]) as client:
            await knows(client, *urls)
            client.set_server_pool([urls[2]])
            assert client.servers == [urls[2]]
            await client.force_reconnect()
            await until(client, Status.CONNECTED)
            assert client.url == urls[2]
            await knows(client, *urls)
        async with connected(connect, urls[0], ignore_cluster_updates=True) as client:
            client.set_server_pool([urls[1]])
            await client.force_reconnect()
            await until(client, Status.CONNECTED)
            assert (client.url, client.servers) == (urls[1], [urls[1]])
