"""Consumers against a real nats-server, over TCP, WebSocket and the nats-py bus."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from agents_core.errors import ConnectionClosed
from agents_core.ids import unique
from agents_core.nats.jetstream import (
    AckPolicy,
    Consume,
    ConsumerConfig,
    DeliverPolicy,
    JSMsg,
    PriorityPolicy,
    PullSubscription,
)
from agents_core.nats.jetstream.errors import (
    BadRequest,
    ConsumerDeleted,
    ConsumerExists,
    ConsumerInvalidReset,
    ConsumerIsPush,
    ConsumerMismatch,
    ConsumerNotFound,
    FetchTimeout,
    MaxBytesExceeded,
    MsgAlreadyAckd,
    PullRefused,
    StreamNotFound,
)
from agents_server.nats_server import NatsServer
from tests.integration.streams import BUSES, fill, jetstream, restart, stream, waiting

pytestmark = pytest.mark.nats


# -- consumers


@BUSES
async def test_a_consumer_from_its_making_to_its_end(nats_server: NatsServer, kind: str) -> None:
    async with stream(nats_server, kind) as (js, name):
        info = await js.create_consumer(
            name,
            durable_name="d",
            filter_subject=f"{name}.a",
            ack_wait=12.5,
            backoff=[0.5, 1, 2],
            max_deliver=4,
            metadata={"k": "v"},
        )
        assert (info.name, info.stream_name, info.config.durable_name) == ("d", name, "d")
        assert info.config.backoff == [0.5, 1.0, 2.0]
        assert info.config.ack_policy is AckPolicy.EXPLICIT
        assert (await js.create_consumer(name, info.config)).name == "d"
        with pytest.raises(ConsumerExists):
            await js.create_consumer(name, info.config, max_deliver=9)
        changed = await js.update_consumer(name, info.config, max_deliver=9)
        assert changed.config.max_deliver == 9
        with pytest.raises(ConsumerNotFound):
            await js.update_consumer(name, name="other")
        several = await js.add_consumer(name, filter_subjects=[f"{name}.a", f"{name}.b"])
        assert several.config.filter_subjects == [f"{name}.a", f"{name}.b"]
        wild = await js.add_consumer(name, name="w", filter_subject=f"{name}.*")
        assert wild.config.filter_subject == f"{name}.*"
        assert set(await js.consumer_names(name)) == {"d", several.name, "w"}
        assert len(await js.consumers_info(name)) == 3
        assert await js.delete_consumer(name, "d")
        for request in (js.consumer_info, js.delete_consumer, js.reset_consumer):
            with pytest.raises(ConsumerNotFound):
                await request(name, "d")
        with pytest.raises(StreamNotFound):
            await js.consumers_info(unique())


@BUSES
async def test_who_reads_by_a_consumer_that_exists_does_not_change_it(
    nats_server: NatsServer, kind: str
) -> None:
    async with stream(nats_server, kind) as (js, name):
        made = await js.add_consumer(name, name="n", filter_subject=f"{name}.a", max_deliver=7)
        config = ConsumerConfig(name="n", max_deliver=2)
        assert (await js.pull_subscribe(f"{name}.a", stream=name, config=config)).consumer == "n"
        with pytest.raises(ConsumerMismatch):
            await js.pull_subscribe(f"{name}.b", stream=name, config=config)
        assert (await js.consumer_info(name, "n")).config == made.config


async def test_two_that_make_one_consumer_do_not_change_what_the_other_reads(
    nats_server: NatsServer,
) -> None:
    async with stream(nats_server) as (js, name):
        calls = (js.pull_subscribe(f"{name}.{subject}", "d", name) for subject in "ab")
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert sorted(type(one).__name__ for one in found) == [
            "ConsumerMismatch",
            "PullSubscription",
        ]


async def test_a_consumer_with_nanoseconds_is_changed(nats_server: NatsServer) -> None:
    """Where it begins can't be changed, so the server has to get back all the digits."""
    async with stream(nats_server) as (js, name):
        config = {"durable_name": "d", "deliver_policy": "by_start_time", "ack_policy": "explicit"}
        config["opt_start_time"] = "2024-01-01T00:00:00.123456789Z"
        body = {"stream_name": name, "config": config}
        await js.request(f"CONSUMER.CREATE.{name}.d", body)
        found = (await js.consumer_info(name, "d")).config
        assert found.opt_start_time == datetime(2024, 1, 1, microsecond=123456, tzinfo=UTC)
        assert (await js.update_consumer(name, found, max_deliver=5)).config.max_deliver == 5


async def test_a_consumer_is_paused_and_goes_on(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        await fill(js, name, 3)
        subscription = await js.pull_subscribe(f"{name}.a", "d")
        later = datetime.now(UTC) + timedelta(hours=1)
        paused = await js.pause_consumer(name, "d", later)
        assert paused.paused
        assert paused.pause_until is not None
        assert abs(paused.pause_until - later) < timedelta(milliseconds=1)
        assert paused.pause_remaining is not None
        assert 3500 < paused.pause_remaining <= 3600
        with pytest.raises(FetchTimeout):
            await subscription.fetch(timeout=0.1)
        assert not (await js.resume_consumer(name, "d")).paused
        assert len(await subscription.fetch(5)) == 3


async def test_a_consumer_is_reset(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        await fill(js, name, 5)
        subscription = await js.pull_subscribe(f"{name}.a", "d")
        for msg in await subscription.fetch(5):
            await msg.ack_sync()
        reset = await js.reset_consumer(name, "d", 3)
        assert (reset.reset_seq, reset.info.num_pending) == (3, 3)
        assert [msg.metadata.sequence.stream for msg in await subscription.fetch(5)] == [3, 4, 5]
        await js.add_consumer(
            name, name="s", deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=4
        )
        with pytest.raises(ConsumerInvalidReset):
            await js.reset_consumer(name, "s", 1)


# -- fetching and acknowledging


@BUSES
async def test_messages_are_fetched_and_acknowledged(nats_server: NatsServer, kind: str) -> None:
    async with stream(nats_server, kind) as (js, name):
        await js.publish(f"{name}.a", b"first", headers={"K": "v"})
        await fill(js, name, 3, "b")
        subscription = await js.pull_subscribe(f"{name}.>", "d")
        (msg,) = await subscription.fetch()
        assert (msg.subject, msg.data, msg.headers["K"]) == (f"{name}.a", b"first", "v")
        said = msg.metadata
        assert (said.stream, said.consumer, said.num_delivered) == (name, "d", 1)
        assert (said.sequence.stream, said.sequence.consumer, said.num_pending) == (1, 1, 3)
        assert said.timestamp == (await js.get_msg(name, 1)).time
        await msg.ack_sync()
        with pytest.raises(MsgAlreadyAckd):
            msg.nak()
        assert (await subscription.consumer_info()).ack_floor.stream_seq == 1
        rest = await subscription.fetch(10)
        assert [msg.data for msg in rest] == [b"0", b"1", b"2"]
        rest[0].ack()
        rest[1].term("no use")
        rest[2].in_progress()
        rest[2].nak()
        (again,) = await subscription.fetch(10)
        assert (again.data, again.metadata.num_delivered) == (b"2", 2)
        again.nak(0.3)
        began = asyncio.get_running_loop().time()
        (again,) = await subscription.fetch(10)
        assert asyncio.get_running_loop().time() - began > 0.25
        await again.ack_sync()
        assert (await subscription.consumer_info()).num_ack_pending == 0
        await subscription.unsubscribe()
        with pytest.raises(ConnectionClosed):
            await subscription.fetch()


@BUSES
async def test_a_fetch_waits_for_the_first_message(nats_server: NatsServer, kind: str) -> None:
    async with stream(nats_server, kind) as (js, name):
        subscription = await js.pull_subscribe(f"{name}.a", stream=name)
        assert await subscription.fetch(10, no_wait=True) == []
        with pytest.raises(FetchTimeout) as raised:
            await subscription.fetch(10, timeout=0.2)
        assert isinstance(raised.value, TimeoutError)
        fetching = asyncio.create_task(subscription.fetch(10, heartbeat=0.5))
        await waiting(js, name, subscription.consumer)
        await js.publish(f"{name}.a", b"now")
        assert [msg.data for msg in await fetching] == [b"now"]


async def test_fetches_share_the_messages(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        subscription = await js.pull_subscribe(f"{name}.a", "d")
        fetches = [asyncio.create_task(subscription.fetch(10, timeout=5)) for _ in range(5)]
        await fill(js, name, 100)
        found = [msg.data for fetch in fetches for msg in await fetch]
        while len(found) < 100:
            found += [msg.data for msg in await subscription.fetch(50)]
        assert sorted(found, key=int) == [b"%d" % i for i in range(100)]


async def test_a_cancelled_fetch_loses_nothing(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        subscription = await js.pull_subscribe(f"{name}.a", "d")
        fetching = asyncio.create_task(subscription.fetch(10))
        await waiting(js, name, "d")
        fetching.cancel()
        await asyncio.wait([fetching])
        await fill(js, name, 3)
        found = await subscription.fetch(10)
        while len(found) < 3:
            found += await subscription.fetch(10)
        assert {msg.metadata.num_delivered for msg in found} == {1}


async def test_a_fetch_bounded_by_bytes(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        for _ in range(5):
            await js.publish(f"{name}.a", bytes(1000))
        subscription = await js.pull_subscribe(f"{name}.a", "d")
        assert len(await subscription.fetch_bytes(2500)) == 2
        assert len(await subscription.fetch_bytes(100_000)) == 3
        await js.publish(f"{name}.a", bytes(1000))
        with pytest.raises(MaxBytesExceeded):
            await subscription.fetch_bytes(900)


async def test_consumers_that_cannot_be_fetched_from(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        missing = await js.pull_subscribe_bind("none", name)
        with pytest.raises(ConsumerNotFound):
            await missing.fetch()
        await js.add_consumer(name, name="push", deliver_subject=unique())
        with pytest.raises(ConsumerIsPush):
            await (await js.pull_subscribe_bind("push", name)).fetch()
        small = await js.pull_subscribe(f"{name}.a", "s", config=ConsumerConfig(max_batch=5))
        with pytest.raises(PullRefused, match="MaxRequestBatch of 5"):
            await small.fetch(6)
        deleted = await js.pull_subscribe(f"{name}.a", "x")
        fetching = asyncio.create_task(deleted.fetch())
        await waiting(js, name, "x")
        await js.delete_consumer(name, "x")
        with pytest.raises(ConsumerDeleted):
            await fetching


@BUSES
async def test_a_fetch_outlives_the_server(own_nats_server: NatsServer, kind: str) -> None:
    async with stream(own_nats_server, kind) as (js, name):
        subscription = await js.pull_subscribe(f"{name}.a", "d")
        fetching = asyncio.create_task(subscription.fetch(10, timeout=20))
        await waiting(js, name, "d")
        await restart(own_nats_server, js.bus)
        await js.publish(f"{name}.a", b"after")
        assert [msg.data for msg in await fetching] == [b"after"]


async def test_the_bus_is_closed_while_fetching(nats_server: NatsServer) -> None:
    async with jetstream(nats_server) as other, stream(nats_server) as (js, name):
        await js.add_consumer(name, durable_name="d")
        subscription = await other.pull_subscribe_bind("d", name)
        fetching = asyncio.create_task(subscription.fetch(timeout=None))
        await waiting(js, name, "d")
        await other.bus.close()
        with pytest.raises(ConnectionClosed):
            await fetching


# -- consuming


@BUSES
@pytest.mark.parametrize(
    "limits", [{}, {"max_messages": 1}, {"max_messages": 7}, {"max_bytes": 3000}]
)
async def test_messages_are_consumed(
    nats_server: NatsServer, kind: str, limits: dict[str, int]
) -> None:
    async with stream(nats_server, kind) as (js, name):
        await fill(js, name, 100)
        subscription = await js.pull_subscribe(f"{name}.a", "d")
        found = []
        async with await subscription.consume(**limits) as messages:
            async for msg in messages:
                msg.ack()
                found.append(int(msg.data))
                if len(found) == 100:
                    await fill(js, name, 20)
                if len(found) == 120:
                    break
        assert found == [*range(100), *range(20)]
        while (await subscription.consumer_info()).num_ack_pending:
            await asyncio.sleep(0)


@BUSES
@pytest.mark.parametrize("is_async", [False, True])
async def test_messages_are_consumed_by_a_callback(
    nats_server: NatsServer, kind: str, is_async: bool
) -> None:
    async with stream(nats_server, kind) as (js, name):
        await fill(js, name, 1500)
        subscription = await js.pull_subscribe(f"{name}.a", "d", config=ConsumerConfig())
        found: list[int] = []
        done = asyncio.Event()

        def plain(msg: JSMsg) -> None:
            msg.ack()
            found.append(int(msg.data))
            if len(found) == 1500:
                done.set()

        async def awaited(msg: JSMsg) -> None:
            plain(msg)

        messages = await subscription.consume(awaited if is_async else plain)
        await done.wait()
        await messages.drain()
        await messages.wait()
        assert found == list(range(1500))


async def test_what_was_not_taken_is_handed_over_by_drain_and_not_by_stop(
    nats_server: NatsServer,
) -> None:
    async with stream(nats_server) as (js, name):
        await fill(js, name, 10)
        subscription = await js.pull_subscribe(f"{name}.a", "d")
        messages = await subscription.consume()
        while messages.pending_msgs < 10:
            await asyncio.sleep(0)
        await messages.drain()
        assert len([msg.ack() async for msg in messages]) == 10
        await fill(js, name, 10)
        stopped = await subscription.consume()
        while stopped.pending_msgs < 10:
            await asyncio.sleep(0)
        stopped.stop()
        assert [msg async for msg in stopped] == []


@BUSES
async def test_a_callback_has_what_has_arrived_when_the_bus_is_drained(
    nats_server: NatsServer, kind: str
) -> None:
    async with stream(nats_server, kind) as (js, name):
        await fill(js, name, 50, "a")
        arrived = asyncio.Event()
        acknowledged: list[int] = []
        read: list[int] = []

        async def acknowledge(msg: JSMsg) -> None:
            await arrived.wait()
            await js.bus.flush()
            msg.ack()
            acknowledged.append(msg.metadata.sequence.stream)

        async def take(msg: JSMsg) -> None:
            await arrived.wait()
            await js.bus.flush()
            read.append(msg.metadata.sequence.stream)

        subscription = await js.pull_subscribe(f"{name}.a", "d")
        consumed = await subscription.consume(acknowledge)
        ordered = await js.ordered_consumer(name, cb=take)
        while consumed.pending_msgs < 49 or ordered.pending_msgs < 49:  # one is being handled
            await asyncio.sleep(0)
        arrived.set()
        await js.bus.drain()
        assert acknowledged == read == list(range(1, 51))
        async with jetstream(nats_server) as other:
            info = await other.consumer_info(name, "d")
            assert (info.num_pending, info.num_ack_pending) == (0, 0)


@BUSES
async def test_consuming_outlives_the_server(own_nats_server: NatsServer, kind: str) -> None:
    async with stream(own_nats_server, kind) as (js, name):
        await fill(js, name, 10)
        config = ConsumerConfig(ack_wait=1)
        subscription = await js.pull_subscribe(f"{name}.a", "d", config=config)
        found: set[int] = set()
        async with await subscription.consume(max_messages=4) as messages:
            async for msg in messages:
                found.add(msg.metadata.sequence.stream)
                msg.ack()
                if len(found) == 5:
                    await restart(own_nats_server, js.bus)
                    await fill(js, name, 5)
                if len(found) == 15:
                    break
        assert found == set(range(1, 16))


async def test_consuming_ends_with_its_consumer(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        subscription = await js.pull_subscribe(f"{name}.a", "d")
        messages = await subscription.consume()
        await waiting(js, name, "d")
        await js.delete_consumer(name, "d")
        with pytest.raises(ConsumerDeleted):
            async for _ in messages:
                pass
        with pytest.raises(ConsumerNotFound):
            async for _ in await subscription.consume():
                pass
        await js.add_consumer(name, name="push", deliver_subject=unique())
        with pytest.raises(ConsumerIsPush):
            async for _ in await (await js.pull_subscribe_bind("push", name)).consume():
                pass
        await js.publish(f"{name}.a", bytes(1000))
        small = await js.pull_subscribe(f"{name}.a", "s")
        with pytest.raises(MaxBytesExceeded):
            async for _ in await small.consume(max_bytes=900):
                pass


async def test_consuming_more_than_the_consumer_allows(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        await fill(js, name, 3)
        config = ConsumerConfig(max_batch=5)
        subscription = await js.pull_subscribe(f"{name}.a", "d", config=config)
        refused = asyncio.Event()
        errors: list[Exception] = []

        def told(error: Exception) -> None:
            errors.append(error)
            refused.set()

        async with await subscription.consume(error_cb=told) as messages:
            await refused.wait()
            assert isinstance(errors[0], PullRefused)
            await js.update_consumer(name, config, durable_name="d", max_batch=500)
            async for msg in messages:
                if msg.metadata.num_pending == 0:
                    break


async def test_a_pinned_client_has_all_messages_until_another_is(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        config = ConsumerConfig(
            priority_groups=["jobs"],
            priority_policy=PriorityPolicy.PINNED_CLIENT,
            priority_timeout=60,
        )
        first = await js.pull_subscribe(f"{name}.a", "d", config=config)
        second = await js.pull_subscribe_bind("d", name)
        seen: dict[str, list[int]] = {"first": [], "second": []}

        async def consume(subscription: PullSubscription, who: str) -> Consume:
            def take(msg: JSMsg) -> None:
                seen[who].append(msg.metadata.sequence.stream)
                msg.ack()

            return await subscription.consume(take, group="jobs", max_messages=2)

        async def total(count: int) -> None:
            while len(seen["first"]) + len(seen["second"]) < count:
                await asyncio.sleep(0)

        one = await consume(first, "first")
        await waiting(js, name, "d")
        two = await consume(second, "second")
        await fill(js, name, 20)
        await total(20)
        assert seen == {"first": list(range(1, 21)), "second": []}
        info = await js.consumer_info(name, "d")
        assert info.priority_groups is not None
        pinned = info.priority_groups[0].pinned_client_id
        for _ in range(20):
            await js.unpin_consumer(name, "d", "jobs")
            await fill(js, name, 1)
        await total(40)
        info = await js.consumer_info(name, "d")
        assert info.priority_groups is not None
        assert info.priority_groups[0].pinned_client_id != pinned
        assert sorted(seen["first"] + seen["second"]) == list(range(1, 41))
        with pytest.raises(BadRequest):
            await js.unpin_consumer(name, "d", "other")
        one.stop()
        two.stop()


async def test_overflow_and_priority(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        overflow = ConsumerConfig(priority_groups=["a"], priority_policy=PriorityPolicy.OVERFLOW)
        subscription = await js.pull_subscribe(f"{name}.a", "o", config=overflow)
        await fill(js, name, 3)
        with pytest.raises(FetchTimeout):
            await subscription.fetch(5, timeout=0.2, group="a", min_pending=10)
        assert len(await subscription.fetch(5, group="a", min_pending=2)) >= 1
        ranked = ConsumerConfig(priority_groups=["a"], priority_policy=PriorityPolicy.PRIORITIZED)
        subscription = await js.pull_subscribe(f"{name}.b", "p", config=ranked)
        low = asyncio.create_task(subscription.fetch(group="a", priority=5))
        await waiting(js, name, "p")
        high = asyncio.create_task(subscription.fetch(group="a", priority=1))
        while (await js.consumer_info(name, "p")).num_waiting < 2:
            await asyncio.sleep(0)
        await js.publish(f"{name}.b", b"1")
        assert [msg.data for msg in await high] == [b"1"]
        await js.publish(f"{name}.b", b"2")
        assert [msg.data for msg in await low] == [b"2"]
        with pytest.raises(BadRequest, match="Priority Group missing"):
            await subscription.fetch()
