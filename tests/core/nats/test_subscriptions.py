"""What a client is subscribed to: which one the server refused, and how all of them end."""

from __future__ import annotations

import asyncio

import pytest

from agents_core import LocalBus, nats
from agents_core.bus import Status
from agents_core.errors import PermissionsViolation, SubscriptionRefused
from agents_core.nats.subscription import Subscription
from tests.core.nats.scripted import reached, session, until

TEXTS = ["maximum subscriptions exceeded", "Invalid Subject"]


@pytest.mark.parametrize("text", TEXTS)
async def test_a_refusal_that_names_none_is_about_the_newest_that_received_nothing(
    text: str,
) -> None:
    errors: list[Exception] = []
    async with session(error_cb=errors.append) as (nc, peer, server):
        old, full, newest = [await nc.subscribe(name) for name in "abc"]
        peer.message("c", sid=3)
        await nc.flush()
        peer.error(text)
        await nc.flush()
        assert [s.ended for s in (old, full, newest)] == [False, True, False]
        with pytest.raises(SubscriptionRefused, match=text):
            await full.next_msg()
        peer.error(text)
        peer.error(text)  # one more than there are
        await nc.flush()
        assert [s.ended for s in (old, full, newest)] == [True, True, False]
        assert [str(error) for error in errors] == [f"server: {text}"] * 3
        assert nc.is_connected
        peer.cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        again = await server.accept()
        await nc.flush()
        assert [c.line for c in again.commands if c.verb == "SUB"] == [b"SUB c 3"]
        again.error(text)  # this server counts anew, and so does what was received
        with pytest.raises(SubscriptionRefused):
            [msg async for msg in newest]


async def test_a_refusal_of_the_one_for_replies_fails_who_waits() -> None:
    async with session() as (nc, peer, _):
        asking = asyncio.create_task(nc.request("a", timeout=20))
        await peer.expect("PUB")
        peer.error("maximum subscriptions exceeded")
        with pytest.raises(SubscriptionRefused):
            await asking
        asking = asyncio.create_task(nc.request("a", timeout=20))
        peer.message((await peer.expect("PUB")).words[2], b"now", sid=2)
        assert (await asking).data == b"now"


async def test_a_violation_by_id_ends_that_one_only() -> None:
    async with session() as (nc, peer, _):
        first, second = [await nc.subscribe("a", "q") for _ in range(2)]
        peer.error('Permissions Violation for Subscription to "a" using queue "q" (sid "2")')
        with pytest.raises(PermissionsViolation):
            await second.next_msg()
        assert not first.ended


async def test_draining_takes_one_round_trip_for_all() -> None:
    handled: list[bytes] = []

    async def slow(msg: nats.Msg) -> None:
        await asyncio.sleep(0)
        handled.append(msg.data)

    async with session() as (nc, peer, _):
        for name in "abc":
            await nc.subscribe(name, cb=slow)
        await peer.expect("PING")
        for sid, name in enumerate("abc", 1):
            peer.message(name, name.encode(), sid=sid)
        await until(lambda: nc.stats.in_msgs == 3)
        await nc.drain()
        assert sorted(handled) == [b"a", b"b", b"c"]
        verbs = [command.verb for command in peer.commands if command.verb != "SUB"]
        assert verbs == ["UNSUB", "UNSUB", "UNSUB", "PING", "PING"]


async def test_a_subscribe_that_is_given_up_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def begin(subscription: Subscription) -> None:
        await at_once(subscription)
        await asyncio.get_running_loop().create_future()

    bus = LocalBus()
    at_once = bus._subscriptions._begin
    monkeypatch.setattr(bus._subscriptions, "_begin", begin)
    subscribing = asyncio.create_task(bus.subscribe("a"))
    await until(lambda: bus._subscriptions)
    subscribing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await subscribing
    assert not bus._subscriptions
    await bus.close()
