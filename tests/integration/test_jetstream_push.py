"""Push consumers against a real nats-server, over TCP, WebSocket and the nats-py bus."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from agents_core.bus import Status
from agents_core.errors import ConnectionClosed, NotConnected
from agents_core.ids import unique
from agents_core.nats.jetstream import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    Header,
    JSMsg,
    StorageType,
)
from agents_core.nats.jetstream.errors import (
    BadRequest,
    ConsumerBound,
    ConsumerMismatch,
    ConsumerNotFound,
    FetchTimeout,
    InvalidOption,
    NoHeartbeat,
    StreamNotFound,
)
from agents_server.nats_server import NatsServer
from tests.integration.pushed import Seen, acknowledged, numbers, unbound
from tests.integration.streams import BUSES, fill, jetstream, restart, stream, until

pytestmark = pytest.mark.nats


# -- reading


@BUSES
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_callback_and_its_acknowledgements(
    nats_server: NatsServer, kind: str, is_async: bool
) -> None:
    async with stream(nats_server, kind) as (js, name):
        await fill(js, name, 50)
        seen = Seen(60)
        cb = seen.take_async if is_async else seen.take
        subscription = await js.subscribe(f"{name}.a", cb=cb, durable="d", idle_heartbeat=0.1)
        await fill(js, name, 10)
        await seen.complete.wait()
        assert seen == [*range(50), *range(10)]
        await acknowledged(js, name, "d")
        info = await subscription.consumer_info()
        assert (info.config.filter_subject, info.config.idle_heartbeat) == (f"{name}.a", 0.1)
        assert info.push_bound
        assert (subscription.delivered, subscription.pending_msgs) == (60, 0)
        await subscription.drain()
        assert subscription.ended
        await unbound(js, name, "d")


@BUSES
async def test_messages_one_by_one_and_in_a_loop(nats_server: NatsServer, kind: str) -> None:
    async with stream(nats_server, kind) as (js, name):
        await fill(js, name, 20)
        async with await js.subscribe(f"{name}.>", stream=name, idle_heartbeat=0.1) as subscription:
            assert subscription.consumer
            first = await subscription.next_msg()
            assert (first.data, first.metadata.stream, first.metadata.num_pending) == (
                b"0",
                name,
                19,
            )
            await first.ack_sync()
            assert await numbers(subscription, 19) == list(range(1, 20))
            with pytest.raises(FetchTimeout):
                await subscription.next_msg(0.5)  # heartbeats come meanwhile, and are no messages
            again = asyncio.create_task(subscription.next_msg(None))
            await fill(js, name, 1)
            assert (await again).data == b"0"
        with pytest.raises(ConnectionClosed):
            await subscription.next_msg()


@BUSES
async def test_acknowledging_by_hand(nats_server: NatsServer, kind: str) -> None:
    async with stream(nats_server, kind) as (js, name):
        await fill(js, name, 1)
        deliveries: list[int] = []
        done = asyncio.Event()

        def refuse_once(msg: JSMsg) -> None:
            deliveries.append(msg.metadata.num_delivered)
            if len(deliveries) == 1:
                msg.nak()
            else:
                msg.ack()
                done.set()

        subscription = await js.subscribe(f"{name}.a", cb=refuse_once, durable="d", manual_ack=True)
        await done.wait()
        await acknowledged(js, name, "d")
        assert deliveries == [1, 2]
        await subscription.unsubscribe()


async def test_what_a_callback_raises_for_is_delivered_again(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        await fill(js, name, 1)
        errors: list[Exception] = []
        deliveries: list[int] = []
        done = asyncio.Event()

        async def fail_once(msg: JSMsg) -> None:
            deliveries.append(msg.metadata.num_delivered)
            if len(deliveries) == 1:
                raise ValueError
            done.set()

        config = ConsumerConfig(ack_wait=0.2)
        subscription = await js.subscribe(
            f"{name}.a", cb=fail_once, durable="d", config=config, error_cb=errors.append
        )
        await done.wait()
        await acknowledged(js, name, "d")
        assert deliveries == [1, 2]
        assert [type(error) for error in errors] == [ValueError]
        await subscription.drain()


async def test_nothing_is_acknowledged_where_nothing_has_to_be(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        await fill(js, name, 5)
        seen = Seen(5)
        acks = await js.bus.subscribe(f"$JS.ACK.{name}.>")
        config = ConsumerConfig(ack_policy=AckPolicy.NONE)
        subscription = await js.subscribe(f"{name}.a", cb=seen.take, config=config)
        await seen.complete.wait()
        await js.bus.flush()
        assert acks.pending_msgs == 0
        await subscription.unsubscribe()


async def test_it_ends_after_so_many(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        await fill(js, name, 10)
        subscription = await js.subscribe(f"{name}.a", durable="d", idle_heartbeat=0.1)
        assert await numbers(subscription, 2) == [0, 1]
        await subscription.unsubscribe(limit=5)
        assert await numbers(subscription, 100) == [2, 3, 4]
        assert subscription.ended
        await unbound(js, name, "d")


async def test_where_it_begins_and_what_it_carries(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        await fill(js, name, 3)
        last = await js.subscribe(
            f"{name}.a", deliver_policy=DeliverPolicy.LAST, headers_only=True, inactive_threshold=60
        )
        msg = await last.next_msg()
        assert (msg.metadata.sequence.stream, msg.data) == (3, b"")
        assert msg.headers["Nats-Msg-Size"] == "1"
        assert (await last.consumer_info()).config.inactive_threshold == 60
        both = ConsumerConfig(filter_subjects=[f"{name}.a", f"{name}.b"])
        several = await js.subscribe(f"{name}.a", config=both)
        await fill(js, name, 1, "b")
        assert await numbers(several, 4) == [0, 1, 2, 0]
        with pytest.raises(BadRequest, match="heartbeat"):
            await js.subscribe(f"{name}.a", idle_heartbeat=0.001)
        with pytest.raises(StreamNotFound):
            await js.subscribe(unique())


# -- consumers that exist


async def test_a_durable_consumer_goes_on_where_it_was(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        await fill(js, name, 10)
        async with await js.subscribe(f"{name}.a", durable="d") as first:
            assert await numbers(first, 4) == [0, 1, 2, 3]
            with pytest.raises(ConsumerBound):
                await js.subscribe(f"{name}.a", durable="d")
            with pytest.raises(ConsumerBound):
                await js.subscribe_bind(name, None, "d")
        await unbound(js, name, "d")
        await js.reset_consumer(name, "d")  # else what was on its way comes after `ack_wait`
        second = await js.subscribe(f"{name}.a", durable="d")
        assert await numbers(second, 6) == [4, 5, 6, 7, 8, 9]
        await second.unsubscribe()
        await unbound(js, name, "d")
        third = await js.subscribe_bind(name, None, "d")
        await fill(js, name, 1)
        assert await numbers(third, 1) == [0]
        await third.unsubscribe()


async def test_consumers_that_do_not_fit(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        await js.add_consumer(name, durable_name="pull")
        with pytest.raises(ConsumerMismatch, match="use pull_subscribe"):
            await js.subscribe(f"{name}.a", durable="pull")
        pull = (await js.consumer_info(name, "pull")).config
        for config in (pull, None):
            with pytest.raises(ConsumerMismatch, match="use pull_subscribe"):
                await js.subscribe_bind(name, config, "pull")
        await js.add_consumer(
            name, durable_name="push", deliver_subject=unique(), filter_subject=f"{name}.a"
        )
        with pytest.raises(ConsumerMismatch, match=rf"it reads \['{name}.a'\], not"):
            await js.subscribe(f"{name}.b", durable="push")
        with pytest.raises(ConsumerMismatch, match="its group is '', not 'workers'"):
            await js.subscribe(f"{name}.a", "workers", durable="push")
        shared = await js.subscribe(f"{name}.a", "workers")
        with pytest.raises(ConsumerMismatch, match="its group is 'workers', not ''"):
            await js.subscribe(f"{name}.a", durable="workers")
        await shared.unsubscribe()
        with pytest.raises(InvalidOption, match="only one member"):
            await js.subscribe(f"{name}.a", "others", flow_control=True)
        with pytest.raises(ConsumerNotFound):
            await js.subscribe_bind(name, None, "missing")


@BUSES
async def test_a_group_shares_the_messages(nats_server: NatsServer, kind: str) -> None:
    async with stream(nats_server, kind) as (js, name), jetstream(nats_server, kind) as other:
        seen: dict[str, list[int]] = {"first": [], "second": []}

        def reader(who: str) -> object:
            return lambda msg: seen[who].append(int(msg.data))

        one, two = await asyncio.gather(  # both find no consumer, and one of them makes it
            js.subscribe(f"{name}.a", "workers", reader("first")),
            other.subscribe(f"{name}.a", queue="workers", cb=reader("second")),
        )
        assert one.consumer == two.consumer == "workers"
        assert one.subject == two.subject
        await other.bus.flush()
        await fill(js, name, 500)
        while len(seen["first"]) + len(seen["second"]) < 500:
            await asyncio.sleep(0)
        assert sorted(seen["first"] + seen["second"]) == list(range(500))
        assert seen["first"]
        assert seen["second"]
        await acknowledged(js, name, "workers")
        await two.unsubscribe()
        await other.bus.flush()
        await fill(js, name, 5)
        await acknowledged(js, name, "workers")


# -- flow


@BUSES
@pytest.mark.parametrize("is_async", [False, True])
async def test_flow_control_under_load(nats_server: NatsServer, kind: str, is_async: bool) -> None:
    async with stream(nats_server, kind, storage=StorageType.MEMORY) as (js, name):
        await fill(js, name, 20_000)
        seen = Seen(20_000)
        errors: list[Exception] = []
        async with await js.subscribe(
            f"{name}.a",
            cb=seen.take_async if is_async else seen.take,
            config=ConsumerConfig(ack_policy=AckPolicy.NONE),
            flow_control=True,
            error_cb=errors.append,
        ) as subscription:
            info = await subscription.consumer_info()
            assert (info.config.flow_control, info.config.idle_heartbeat) == (True, 5)
            await seen.complete.wait()
            assert seen == list(range(20_000))
            assert subscription.dropped == 0
        assert errors == []


async def test_a_reader_that_sleeps_is_waited_for(nats_server: NatsServer) -> None:
    """Nothing is acknowledged and nothing is lost, although little may wait for the reader."""
    async with stream(nats_server) as (js, name):
        for number in range(400):
            await js.publish_async(f"{name}.a", b"%d" % number + bytes(20_000))
        await js.publish_async_completed()
        subscription = await js.subscribe(
            f"{name}.a",
            config=ConsumerConfig(ack_policy=AckPolicy.NONE),
            flow_control=True,
            idle_heartbeat=0.1,
            pending_bytes_limit=6_000_000,  # of 8, and it begins with 2
        )
        beside = await js.bus.subscribe(subscription.subject)
        async for msg in beside:
            if Header.CONSUMER_STALLED in msg.headers:
                break
        assert 2_000_000 < subscription.pending_bytes < 6_000_000
        seen = []
        async for msg in subscription:
            seen.append(int(msg.data.rstrip(b"\0")))
            if len(seen) == 400:
                break
        assert seen == list(range(400))
        assert subscription.dropped == 0
        await subscription.unsubscribe()


# -- trouble


@BUSES
async def test_a_subscription_outlives_its_server(own_nats_server: NatsServer, kind: str) -> None:
    async with stream(own_nats_server, kind) as (js, name):
        seen = Seen()
        subscription = await js.subscribe(
            f"{name}.a",
            cb=seen.take,
            durable="d",
            config=ConsumerConfig(ack_wait=0.5),
            idle_heartbeat=0.1,
            error_cb=lambda _: None,
        )
        await fill(js, name, 10)
        await acknowledged(js, name, "d")
        await restart(own_nats_server, js.bus)
        for number in range(10, 20):
            await js.publish(f"{name}.a", b"%d" % number)
        while set(seen) < set(range(20)):  # some may come again: acknowledgements died, too
            await asyncio.sleep(0)
        assert not subscription.ended
        await acknowledged(js, name, "d")
        await subscription.drain()


@pytest.mark.parametrize("is_called", [False, True])
async def test_a_consumer_that_is_gone_is_noticed_by_its_silence(
    nats_server: NatsServer, is_called: bool
) -> None:
    async with stream(nats_server) as (js, name):
        errors: list[Exception] = []
        ended = asyncio.Event()

        def told(error: Exception) -> None:
            errors.append(error)
            if isinstance(error, ConsumerNotFound):
                ended.set()

        seen = Seen()
        subscription = await js.subscribe(
            f"{name}.a",
            cb=seen.take if is_called else None,
            idle_heartbeat=0.1,
            error_cb=told,
        )
        await js.delete_consumer(name, subscription.consumer)
        if is_called:
            await ended.wait()
        else:
            with pytest.raises(ConsumerNotFound):
                await subscription.next_msg(None)
        assert subscription.ended
        assert isinstance(errors[0], NoHeartbeat)
        assert str(errors[0]).endswith("for 0.3 s")


@BUSES
async def test_a_consumer_that_went_while_the_connection_was_lost(
    own_nats_server: NatsServer, kind: str
) -> None:
    async with AsyncExitStack() as stack:
        js, name = await stack.enter_async_context(stream(own_nats_server, kind))
        subscription = await js.subscribe(f"{name}.a", inactive_threshold=0.1)
        reading = asyncio.create_task(subscription.next_msg(None))
        await js.bus.suspend()
        other = await stack.enter_async_context(jetstream(own_nats_server))
        while await other.consumer_names(name):
            await asyncio.sleep(0.01)
        await js.bus.resume()
        await until(js.bus, Status.CONNECTED)
        with pytest.raises(ConsumerNotFound):
            await reading
        assert subscription.ended


async def test_it_is_drained_without_a_connection(own_nats_server: NatsServer) -> None:
    async with stream(own_nats_server) as (js, name):
        subscription = await js.subscribe(f"{name}.a", durable="d")
        await fill(js, name, 3)
        while subscription.pending_msgs < 3:
            await asyncio.sleep(0)
        own_nats_server.kill()
        await until(js.bus, Status.RECONNECTING)
        with pytest.raises(NotConnected):
            await subscription.drain()
        assert [msg.data async for msg in subscription] == [b"0", b"1", b"2"]


async def test_the_bus_is_drained(nats_server: NatsServer) -> None:
    """What has arrived is handed over before, and acknowledged."""
    async with stream(nats_server) as (js, name), jetstream(nats_server) as other:
        await fill(js, name, 100)
        seen = Seen()
        subscription = await other.subscribe(f"{name}.a", cb=seen.take_async, durable="d")
        while not seen:
            await asyncio.sleep(0)
        await other.bus.drain()
        assert subscription.ended
        info = await js.consumer_info(name, "d")
        assert len(seen) == info.ack_floor.stream_seq
        assert info.num_ack_pending == 0
