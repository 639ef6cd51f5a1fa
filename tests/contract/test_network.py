"""A network that takes bytes and delivers none: what each client notices, and what it keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from agents_core import Agent, connect, nats, on
from agents_core.bus import Status
from agents_core.errors import (
    AgentNotFound,
    AskTimeout,
    NotConnected,
    OutboundBufferFull,
    TransportError,
)
from agents_core.ids import unique
from agents_core.nats.options import Options
from agents_server.nats_py import NatsPyBus
from agents_server.nats_server import LOOPBACK, NatsServer
from tests.nats_cluster import until
from tests.network import Network

pytestmark = pytest.mark.nats

Either: TypeAlias = nats.Client | NatsPyBus
Dial: TypeAlias = Callable[..., Awaitable[Either]]

QUICK: dict[str, Any] = {
    "ping_interval": 0.1,
    "reconnect_time_wait": 0.05,
    "max_reconnect_attempts": -1,
}
CUTS = {"both": {}, "up": {"down": False}, "down": {"up": False}}


async def tcp(port: int, **options: Any) -> nats.Client:
    return await nats.connect(f"nats://{LOOPBACK}:{port}", **options)


async def websocket(port: int, **options: Any) -> nats.Client:
    return await nats.connect(f"ws://{LOOPBACK}:{port}", **options)


async def nats_py(port: int, **options: Any) -> NatsPyBus:
    bus = NatsPyBus(Options(servers=[f"nats://{LOOPBACK}:{port}"], **options))
    await bus.connect()
    return bus


ALL = pytest.mark.parametrize("dial", [tcp, websocket, nats_py], ids=lambda dial: dial.__name__)


@pytest.fixture
def network(dial: Dial, nats_server: NatsServer) -> Iterator[Network]:
    """Between the client and the server."""
    ports = {websocket: nats_server.websocket_port}
    with Network(ports.get(dial, nats_server.port)) as found:
        yield found


@asynccontextmanager
async def connected(dial: Dial, network: Network, **options: Any) -> AsyncIterator[Either]:
    """A client that asks soon and comes back soon."""
    client = await dial(network.port, **(QUICK | options))
    try:
        yield client
    finally:
        await client.close()


@ALL
@pytest.mark.parametrize("elsewhere", [False, True], ids=["mended", "elsewhere"])
@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_a_cut_is_noticed_and_what_was_published_meanwhile_arrives(
    dial: Dial, network: Network, nats_server: NatsServer, cut: dict[str, bool], elsewhere: bool
) -> None:
    subject, told = unique(), []
    callbacks = {f"{n}_cb": lambda n=n: told.append(n) for n in ("disconnected", "reconnected")}
    callbacks["error_cb"] = lambda error: told.append(type(error))
    other = await nats.connect(nats_server.url)
    heard, silent = await other.subscribe(subject), await other.subscribe(f"{subject}.silent")
    async with connected(dial, network, pending_size=10_000, **callbacks) as client:
        statuses: list[Status] = []
        client.on_status(statuses.append)
        kept = await client.subscribe(f"{subject}.kept")
        asked = asyncio.create_task(client.request(f"{subject}.silent", timeout=20))
        await silent.next_msg(5)
        network.cut(**cut)
        with pytest.raises(NotConnected):
            await asked
        assert client.status is Status.RECONNECTING
        for call in (client.request(subject), client.flush(), client.rtt()):
            with pytest.raises(NotConnected):
                await call
        sent = 0
        with pytest.raises(OutboundBufferFull):
            while True:
                client.publish(subject, b"%d" % sent)
                sent += 1
        network.mend(elsewhere=elsewhere)
        await until(client, Status.CONNECTED)
        assert [int((await heard.next_msg(5)).data) for _ in range(sent)] == list(range(sent))
        assert sent > 50
        await client.flush()
        other.publish(f"{subject}.kept", b"here")
        assert (await kept.next_msg(5)).data == b"here"
        assert statuses == [Status.RECONNECTING, Status.CONNECTED]
        assert told == [TransportError, "disconnected", "reconnected"]
        assert client.stats.reconnects == 1
    await other.close()


@ALL
async def test_a_cut_is_noticed_by_who_sends_more_than_the_pipe_takes(
    dial: Dial, network: Network, nats_server: NatsServer
) -> None:
    subject = unique()
    other = await nats.connect(nats_server.url)
    heard = await other.subscribe(f"{subject}.after")
    await other.flush()
    async with connected(dial, network) as client:
        await client.flush()
        network.cut()
        with pytest.raises(OutboundBufferFull):
            while True:
                client.publish(subject, bytes(100_000))
                await asyncio.sleep(0)
        await until(client, Status.RECONNECTING)
        network.mend(elsewhere=True)
        await until(client, Status.CONNECTED)
        await client.flush()
        client.publish(f"{subject}.after", b"small")
        assert (await heard.next_msg(5)).data == b"small"
    await other.close()


@pytest.mark.parametrize("dial", [nats_py])
async def test_who_gives_up_subscribing_is_told_so_and_leaves_nothing(
    dial: Dial, network: Network
) -> None:
    """Our own client's `subscribe` has nothing to wait for."""
    async with connected(dial, network, ping_interval=60) as client:
        network.cut()
        with pytest.raises(OutboundBufferFull):
            while True:
                client.publish("a", bytes(100_000))
                await asyncio.sleep(0)
        heard: list[object] = []
        asked = asyncio.ensure_future(client.subscribe("given.up", cb=heard.append))
        kept = asyncio.ensure_future(client.subscribe("kept"))
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])
        assert asked.cancelled()
        network.mend()
        await kept
        client.publish("given.up")
        await client.flush()
        assert heard == []


@pytest.mark.parametrize("dial", [nats_py])
async def test_closing_does_not_wait_for_a_server_that_takes_nothing(
    dial: Dial, network: Network
) -> None:
    """Our own client's `close` has nothing to wait for."""
    async with connected(dial, network, ping_interval=60) as client:
        network.cut()
        with pytest.raises(OutboundBufferFull):
            while True:
                client.publish("a", bytes(100_000))
                await asyncio.sleep(0)
        await client.close()
        assert client.status is Status.CLOSED


@pytest.fixture
def asking_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server that asks soon whether a client lives."""
    server = NatsServer(tmp_path, extra='ping_interval: "500ms"')
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("dial", [tcp, nats_py], ids=lambda dial: dial.__name__)
async def test_who_hears_and_is_not_heard_is_told_by_the_server(
    dial: Dial, asking_server: NatsServer
) -> None:
    """What arrives is an answer to this side, so that it is for the other one to ask."""
    told: list[str] = []
    patient = {"ping_interval": 60, "error_cb": lambda error: told.append(str(error))}
    other = await nats.connect(asking_server.url)
    with Network(asking_server.port) as network:
        async with connected(dial, network, **patient) as client:
            ticks = await client.subscribe("tick")
            await client.flush()
            network.cut(down=False)
            while client.status is Status.CONNECTED:
                other.publish("tick")
                await asyncio.sleep(0.01)
            assert ticks.received
            assert "stale connection" in told[0].lower()
            network.mend()
            await until(client, Status.CONNECTED)
            assert await client.rtt() < 5
    await other.close()


class Counter(Agent):
    """Counts how often it was asked."""

    count = 0

    @on("count")
    def more(self) -> int:
        self.count += 1
        return self.count


async def test_agents_of_a_node_that_is_cut_off(asking_server: NatsServer) -> None:
    """Silence while the server believes in the connection, then a refusal, then they are back."""
    space = unique()
    with Network(asking_server.port) as network:
        url = f"nats://{LOOPBACK}:{network.port}"
        async with (
            connect(asking_server.url, space=space) as here,
            connect(url, space=space, **QUICK) as away,
        ):
            await away.spawn(Counter, "counter")
            counter = here.agent("counter")
            assert await counter.ask("count") == 1
            network.cut()
            with pytest.raises(AgentNotFound):
                while True:
                    with suppress(AskTimeout):
                        await counter.ask("count", timeout=0.1)
            assert await away.agent("counter").ask("count") == 2
            network.mend(elsewhere=True)
            await until(away.bus, Status.CONNECTED)
            await away.bus.flush()
            assert await counter.ask("count") == 3
