"""What waits to be sent: its bound, its order, and who waits for room."""

from __future__ import annotations

import asyncio

import pytest

from agents_core.bus import Status
from agents_core.errors import ConnectionClosed, MaxPayloadExceeded, OutboundBufferFull
from agents_core.nats.outbox import FAIR_CALLS
from agents_core.testing.server import info
from tests.core.nats.scripted import reached, session


async def test_the_bound_holds_while_down_and_while_the_pipe_is_full() -> None:
    async with session(pending_size=100) as (nc, peer, server):
        assert nc.pending_data_size == 0
        peer.pause()
        nc.publish("a", bytes(80))
        assert nc.pending_data_size == 92
        with pytest.raises(OutboundBufferFull, match="100 bytes"):
            nc.publish("a", bytes(80))
        server.down = {"one"}
        peer.cut()
        await reached(nc, Status.RECONNECTING)
        assert nc.pending_data_size == 92
        with pytest.raises(OutboundBufferFull):
            nc.publish("a", bytes(80))
        assert nc.stats.out_msgs == 1
        server.down = ()
        await reached(nc, Status.CONNECTED)
        assert nc.pending_data_size == 0
        nc.publish("a", bytes(80))


async def test_what_waited_and_is_too_large_for_the_next_server() -> None:
    errors: list[Exception] = []
    async with session() as (nc, peer, server):
        server.down = {"one"}
        peer.cut()
        await reached(nc, Status.RECONNECTING)
        nc.options.error_cb = lambda e: errors.append(e) if type(e) is MaxPayloadExceeded else None
        nc.publish("a", b"1")
        nc.publish("a", bytes(101))
        nc.publish("a", b"2", headers={"K": "v" * 101})
        for payload in (b"3", b"4", b"5"):
            nc.publish("b", payload * 50)
        for _ in range(3):
            nc.publish("c", bytes(102))
        nc.publish("a", b"6")
        server.greeting, server.down = info(max_payload=100), ()
        await reached(nc, Status.CONNECTED)
        again = await server.accept()
        await nc.flush()
        sent = [c.payload[:1] for c in again.commands if c.verb in {"PUB", "HPUB"}]
        assert sent == [b"1", b"3", b"4", b"5", b"6"]
        assert {e.size for e in errors} == {101, 102, 119}
        assert nc.is_connected


async def test_to_wait_for_room_in_a_pipe_that_is_full() -> None:
    async with session(pending_size=1000) as (nc, peer, _):
        peer.pause()
        nc.publish("a", bytes(450))
        await nc.ready()  # less than half of it waits
        nc.publish("a", bytes(450))
        waiting = [asyncio.create_task(nc.ready()) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        assert not waiting[1].done()
        peer.resume()
        await waiting[1]
        assert [len(c.payload) for c in peer.commands if c.verb == "PUB"] == [450, 450]


async def test_to_wait_for_room_in_this_turn() -> None:
    async with session(pending_size=100) as (nc, peer, _):
        await peer.expect("PING")
        for _ in range(5):  # joined at the end of the turn, if nobody waits
            nc.publish("a", bytes(60))
            await nc.ready()
        assert nc.pending_data_size * 2 <= 100


async def test_to_wait_for_room_while_there_is_no_connection() -> None:
    async with session(pending_size=100) as (nc, peer, server):
        server.down = {"one"}
        peer.cut()
        await reached(nc, Status.RECONNECTING)
        nc.publish("a", bytes(80))
        waiting = asyncio.create_task(nc.ready())
        await asyncio.sleep(0)
        assert not waiting.done()
        server.down = ()
        await waiting
        assert nc.is_connected


async def test_to_wait_for_room_that_will_not_come() -> None:
    async with session(pending_size=100) as (nc, peer, _):
        peer.pause()
        nc.publish("a", bytes(80))
        waiting = asyncio.create_task(nc.ready())
        await asyncio.sleep(0)
        await nc.close()
        with pytest.raises(ConnectionClosed):
            await waiting
        with pytest.raises(ConnectionClosed):
            await nc.ready()


async def test_a_loop_that_only_publishes_lets_others_have_a_turn() -> None:
    async with session() as (nc, _, _):
        turns: list[int] = []
        asyncio.get_running_loop().call_soon(turns.append, 1)
        for _ in range(FAIR_CALLS):
            await nc.ready()
        assert turns == [1]
