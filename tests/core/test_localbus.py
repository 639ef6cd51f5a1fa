"""NATS semantics inside one process."""

from __future__ import annotations

import asyncio
import logging
from random import Random

import pytest

from agents_core import localbus
from agents_core.bus import Status
from agents_core.errors import (
    ConnectionClosed,
    InvalidSubject,
    MaxPayloadExceeded,
    NoResponders,
    OutboundBufferFull,
    RequestTimeout,
)
from agents_core.localbus import IN_FLIGHT_MAX, LocalBus
from agents_core.nats.msg import Msg
from tests.core.nats.scripted import until


async def test_wildcards_and_order() -> None:
    bus = LocalBus()
    one, rest, other = [await bus.subscribe(s) for s in ("a.*", "a.>", "b")]
    for subject in ("a.x", "a.x.y", "c"):
        bus.publish(subject, subject.encode(), headers={"K": "v"})
    await bus.flush()
    assert (one.pending_msgs, rest.pending_msgs, other.pending_msgs) == (1, 2, 0)
    msg = await rest.next_msg()
    assert (msg.subject, msg.data, msg.headers["K"]) == ("a.x", b"a.x", "v")
    assert (bus.stats.in_msgs, bus.stats.out_msgs, bus.stats.out_bytes) == (3, 3, 9)
    await bus.close()


async def test_nothing_is_delivered_inside_publish() -> None:
    bus, seen = LocalBus(), []
    await bus.subscribe("a", cb=seen.append)
    payload = b"not copied"
    await bus.publish("a", payload)
    assert not seen
    await bus.flush()
    assert seen[0].data is payload
    await bus.close()


async def test_buses_of_one_name_share_and_others_do_not() -> None:
    first, second, other, private = LocalBus("n"), LocalBus("n"), LocalBus("m"), LocalBus()
    subscriptions = [await bus.subscribe("a") for bus in (first, second, other, private)]
    first.publish("a")
    await first.flush()
    assert [s.pending_msgs for s in subscriptions] == [1, 1, 0, 0]
    assert (first.url, private.url) == ("local://n", "local://")
    for bus in (first, second):
        await bus.close()
    late = LocalBus("n")  # a new hub: the last member took the old one with it
    assert not late._hub.subscriptions
    for bus in (late, other, private):
        await bus.close()


async def test_queue_groups_take_each_message_once() -> None:
    bus = LocalBus("q", rng=Random(1))
    other = LocalBus("q")
    group = [await b.subscribe("a", "g") for b in (bus, other, bus)]
    alone = await other.subscribe("a", "h")
    everybody = await bus.subscribe("a")
    for _ in range(100):
        bus.publish("a")
    await bus.flush()
    counts = [subscription.received for subscription in group]
    assert sum(counts) == 100
    assert min(counts) > 10
    assert alone.received == everybody.received == 100
    await bus.close()
    await other.close()


async def test_a_queue_member_may_end_while_a_message_is_delivered() -> None:
    bus = LocalBus()
    member = await bus.subscribe("a", "g")
    await bus.subscribe("a", cb=lambda _: member.end())
    bus.publish("a")
    bus.publish("a")
    await bus.flush()
    assert member.received == 0
    await bus.close()


async def test_requests() -> None:
    bus = LocalBus()
    await bus.subscribe("a", cb=lambda msg: msg.respond(msg.data.upper()))
    assert (await bus.request("a", b"x")).data == b"X"
    with pytest.raises(NoResponders):
        await bus.request("nobody", timeout=20)
    await bus.subscribe("silent")
    with pytest.raises(RequestTimeout):
        await bus.request("silent", timeout=0.001)
    assert bus.new_inbox() != bus.new_inbox()
    assert 0 <= await bus.rtt() < 30
    await bus.close()


async def test_what_a_server_would_refuse_is_refused() -> None:
    bus = LocalBus()
    with pytest.raises(InvalidSubject):
        bus.publish("a.*")
    with pytest.raises(InvalidSubject):
        bus.publish("a", reply="b c")
    with pytest.raises(InvalidSubject):
        await bus.subscribe("a..b")
    with pytest.raises(InvalidSubject):
        await bus.subscribe("a", "two words")
    with pytest.raises(MaxPayloadExceeded):
        bus.publish("a", bytes(bus.max_payload + 1))
    assert bus.stats.out_msgs == 0
    await bus.close()


async def test_messages_on_their_way_are_bounded() -> None:
    bus = LocalBus()
    for _ in range(IN_FLIGHT_MAX):
        bus.publish("a")
    with pytest.raises(OutboundBufferFull):
        bus.publish("a")
    await bus.flush()
    bus.publish("a")
    await bus.close()


async def test_a_barrier_that_was_cancelled_disturbs_nobody() -> None:
    bus = LocalBus()
    bus.publish("a")
    first, second = (asyncio.create_task(bus.flush()) for _ in range(2))
    first.cancel()
    await second
    third, fourth = (asyncio.create_task(bus.flush()) for _ in range(2))
    asyncio.get_running_loop().call_soon(third.cancel)  # behind its beginning
    bus.publish("a")
    await fourth
    assert first.cancelled()
    assert third.cancelled()
    await bus.close()


async def test_what_a_delivery_causes_comes_in_the_next_turn() -> None:
    bus, seen = LocalBus(), []

    def forward(msg: Msg) -> None:
        seen.append(msg.data)
        if len(seen) < 3:
            bus.publish("a", b"%d" % len(seen))

    await bus.subscribe("a", cb=forward)
    bus.publish("a", b"0")
    await asyncio.sleep(0)
    assert seen == [b"0"]
    await until(lambda: len(seen) == 3)
    assert seen == [b"0", b"1", b"2"]
    await bus.close()


async def test_subscriptions_end_by_count_and_by_hand() -> None:
    bus = LocalBus()
    counted = await bus.subscribe("a", max_msgs=2)
    limited = await bus.subscribe("a")
    await limited.unsubscribe(3)
    ended = await bus.subscribe("a")
    await ended.unsubscribe()
    drained = await bus.subscribe("a")
    bus.publish("a")
    await drained.drain()
    for _ in range(5):
        bus.publish("a")
    await bus.flush()
    received = [s.received for s in (counted, limited, ended, drained)]
    assert received == [2, 3, 0, 1]
    assert not bus._hub.subscriptions
    await bus.close()


async def test_a_callback_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    bus = LocalBus()
    await bus.subscribe("a", cb=lambda _: 1 / 0)
    bus.publish("a")
    with caplog.at_level(logging.ERROR, "agents_core.localbus"):
        await bus.flush()
    assert "division by zero" in caplog.text
    await bus.close()


async def test_drain_delivers_then_closes() -> None:
    bus, seen, statuses = LocalBus("d"), [], []
    other = LocalBus("d")
    remove = bus.on_status(statuses.append)
    replies = await other.subscribe("r")

    async def slow(msg: Msg) -> None:
        await asyncio.sleep(0)
        seen.append(msg.data)
        msg.respond(b"done")

    await bus.subscribe("a", cb=slow)
    bus.publish("a", b"1", "r")
    bus.publish("a", b"2", "r")
    draining = asyncio.create_task(bus.drain())
    await until(lambda: bus.status is Status.DRAINING)
    with pytest.raises(ConnectionClosed):
        await bus.subscribe("b")
    await draining
    await bus.drain()
    remove()
    assert seen == [b"1", b"2"]
    assert statuses == [Status.DRAINING, Status.CLOSED]
    await other.flush()
    assert replies.received == 2
    await other.close()


async def test_close_stops_a_callback_that_outlived_its_subscription() -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    async def hang(_: Msg) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    bus = LocalBus()
    await bus.subscribe("a", cb=hang, max_msgs=1)
    bus.publish("a")
    await started.wait()
    await bus.close()
    await stopped.wait()


async def test_drain_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang(_: Msg) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(localbus, "DRAIN_SECONDS_MAX", 0.001)
    bus = LocalBus()
    await bus.subscribe("a", cb=hang)
    bus.publish("a")
    await bus.drain()
    assert bus.status is Status.CLOSED
    assert "did not end" in caplog.text


async def test_close_tells_whoever_waits_and_is_final() -> None:
    bus = LocalBus()
    subscription = await bus.subscribe("a")
    asking = asyncio.create_task(bus.request("a", timeout=20))
    waiting = asyncio.create_task(subscription.next_msg(20))
    await asyncio.sleep(0)
    await bus.close()
    await bus.close()
    with pytest.raises(ConnectionClosed):
        await asking
    with pytest.raises(ConnectionClosed):
        await waiting
    for call in (bus.subscribe("a"), bus.request("a"), bus.flush()):
        with pytest.raises(ConnectionClosed):
            await call
    with pytest.raises(ConnectionClosed):
        bus.publish("a")


async def test_slow_readers_are_counted() -> None:
    bus = LocalBus()
    await bus.subscribe("a", pending_msgs_limit=1)
    for _ in range(3):
        bus.publish("a")
    await bus.flush()
    assert bus.stats.dropped == 2
    await bus.close()


async def test_room_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(localbus, "IN_FLIGHT_MAX", 10)
    bus = LocalBus()
    taken: list[Msg] = []
    await bus.subscribe("a", cb=taken.append)
    for _ in range(100):
        bus.publish("a")
        await bus.ready()
    await bus.flush()
    assert len(taken) == 100
    await bus.close()
    with pytest.raises(ConnectionClosed):
        await bus.ready()
