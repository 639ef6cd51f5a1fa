"""JetStream against a real nats-server, over TCP, WebSocket and the nats-py bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nats as nats_py
import pytest

from agents_core import nats
from agents_core.bus import Bus, Status
from agents_core.errors import ConnectionClosed, RequestTimeout
from agents_core.ids import unique
from agents_core.localbus import LocalBus
from agents_core.nats.jetstream import (
    AckPolicy,
    Consume,
    ConsumerConfig,
    DeliverPolicy,
    Header,
    JetStreamContext,
    JSMsg,
    PriorityPolicy,
    PubAck,
    PullSubscription,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamSource,
    SubjectTransform,
    schedule,
)
from agents_core.nats.jetstream.errors import (
    APIError,
    BadRequest,
    BatchEnded,
    BatchIncomplete,
    ConsumerDeleted,
    ConsumerExists,
    ConsumerInvalidReset,
    ConsumerIsPush,
    ConsumerNotFound,
    FetchTimeout,
    JetStreamNotEnabled,
    MaxBytesExceeded,
    MessageNotFound,
    MsgAlreadyAckd,
    NoStreamResponse,
    PullRefused,
    StreamNameInUse,
    StreamNotFound,
    TooManyStalledMsgs,
    WrongLastMsgId,
    WrongLastSequence,
    WrongStream,
)
from agents_core.nats.options import Options
from agents_server.nats_py import NatsPyBus
from agents_server.nats_server import NatsServer

pytestmark = pytest.mark.nats
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


# -- streams


@BUSES
async def test_a_stream_from_its_making_to_its_end(nats_server: NatsServer, kind: str) -> None:
    name = unique()
    async with jetstream(nats_server, kind) as js:
        config = StreamConfig(
            name=name,
            subjects=[f"{name}.>"],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.MEMORY,
            max_age=3600.5,
            max_msgs=100,
            duplicate_window=60,
            metadata={"owner": "test"},
            subject_transform=SubjectTransform(f"{name}.old.>", f"{name}.new.>"),
        )
        info = await js.add_stream(config)
        assert info.did_create is True
        assert info.config.max_age == 3600.5
        assert info.config.metadata is not None
        assert info.config.metadata["owner"] == "test"
        assert info.config.storage is StorageType.MEMORY
        assert info.created is not None
        assert abs(datetime.now(UTC) - info.created) < timedelta(minutes=1)
        assert (await js.add_stream(config)).config.name == name
        with pytest.raises(StreamNameInUse):
            await js.add_stream(config, max_msgs=7)
        changed = await js.update_stream(info.config, max_msgs=50)
        assert (changed.config.max_msgs, changed.config.max_age) == (50, 3600.5)
        assert name in await js.stream_names()
        assert await js.stream_names(f"{name}.x") == [name]
        assert await js.find_stream_name_by_subject(f"{name}.x") == name
        assert name in [info.config.name for info in await js.streams_info()]
        assert await js.delete_stream(name)
        for gone in (js.stream_info(name), js.update_stream(config), js.delete_stream(name)):
            with pytest.raises(StreamNotFound, match="stream not found"):
                await gone
        with pytest.raises(StreamNotFound, match="no stream stores"):
            await js.find_stream_name_by_subject(f"{name}.x")


async def test_the_state_counts_messages_by_subject(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        await fill(js, name, 3, "a")
        await fill(js, name, 2, "b")
        await js.delete_msg(name, 2)
        state = (await js.stream_info(name, f"{name}.*", deleted_details=True)).state
        assert state.subjects == {f"{name}.a": 2, f"{name}.b": 2}
        assert (state.messages, state.first_seq, state.last_seq) == (4, 1, 5)
        assert (state.deleted, state.num_deleted) == ([2], 1)
        assert (await js.stream_info(name, "nothing.here")).state.subjects == {}
        assert (await js.stream_info(name)).state.subjects is None


async def test_a_purge_spares_what_it_is_told_to(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        await fill(js, name, 5, "a")
        await fill(js, name, 5, "b")
        assert await js.purge_stream(name, subject=f"{name}.a", keep=2)
        assert (await js.stream_info(name)).state.messages == 7
        assert await js.purge_stream(name, seq=9)
        assert (await js.stream_info(name)).state.first_seq == 9
        assert await js.purge_stream(name)
        assert (await js.stream_info(name)).state.messages == 0


async def test_the_account_counts_its_streams(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, _):
        info = await js.account_info()
        assert info.streams >= 1
        assert info.api.level >= 5
        assert info.limits.max_streams == -1


# -- publishing


@BUSES
async def test_a_published_message_is_there(nats_server: NatsServer, kind: str) -> None:
    async with stream(nats_server, kind) as (js, name):
        ack = await js.publish(f"{name}.a", b"one", headers={"K": "v"})
        assert ack == PubAck(name, 1)
        stored = await js.get_msg(name, 1)
        assert (stored.subject, stored.data, stored.headers["K"]) == (f"{name}.a", b"one", "v")


async def test_what_a_publish_may_expect(nats_server: NatsServer) -> None:
    async with stream(nats_server, allow_msg_ttl=True) as (js, name):
        subject = f"{name}.a"
        await js.publish(subject, msg_id="one")
        assert (await js.publish(subject, msg_id="one")).duplicate
        await js.publish(subject, stream=name, expected_last_sequence=1, expected_last_msg_id="one")
        await js.publish(f"{name}.b", expected_last_subject_sequence=0)
        await js.publish(
            f"{name}.c", expected_last_subject_sequence=3, expected_last_subject=f"{name}.b"
        )
        with pytest.raises(WrongStream):
            await js.publish(subject, stream="other")
        for wrong in ({"expected_last_sequence": 7}, {"expected_last_subject_sequence": 7}):
            with pytest.raises(WrongLastSequence) as raised:
                await js.publish(subject, **wrong)
            assert raised.value.err_code in {10071, 10164}
        with pytest.raises(WrongLastMsgId):
            await js.publish(subject, expected_last_msg_id="other")
        assert (await js.stream_info(name)).state.last_seq == 4
        await js.publish(subject, msg_ttl=3600)
        assert (await js.get_msg(name, 5)).headers[Header.MSG_TTL] == "3600"
        with pytest.raises(APIError, match="TTL") as refused:
            await js.publish(subject, msg_ttl=0.5)
        assert refused.value.err_code == 10165


async def test_no_stream_takes_it(nats_server: NatsServer) -> None:
    async with jetstream(nats_server) as js:
        with pytest.raises(NoStreamResponse):
            await js.publish(unique())
        future = await js.publish_async(unique())
        with pytest.raises(NoStreamResponse):
            await future


@BUSES
async def test_many_messages_under_way(nats_server: NatsServer, kind: str) -> None:
    async with stream(nats_server, kind, storage=StorageType.MEMORY) as (js, name):
        futures = [await js.publish_async(f"{name}.a", b"%d" % i) for i in range(5000)]
        assert 0 < js.publish_async_pending() <= 4000
        await js.publish_async_completed()
        assert js.publish_async_pending() == 0
        assert [future.result().seq for future in futures] == list(range(1, 5001))


async def test_messages_larger_than_the_buffer_of_the_bus(nats_server: NatsServer) -> None:
    async with stream(nats_server, storage=StorageType.MEMORY) as (js, name):
        payload = bytes(600_000)
        futures = [await js.publish_async(f"{name}.a", payload) for _ in range(20)]
        await js.publish_async_completed()
        assert [future.result().seq for future in futures] == list(range(1, 21))


async def test_a_window_that_stays_full(nats_server: NatsServer) -> None:
    async with jetstream(nats_server, publish_async_max_pending=2) as js:
        silent = unique()
        await js.bus.subscribe(silent)  # somebody is there, but it is no stream
        futures = [await js.publish_async(silent) for _ in range(2)]
        with pytest.raises(TooManyStalledMsgs):
            await js.publish_async(silent, wait_stall=0.05)
        await js.bus.close()
        for future in futures:
            with pytest.raises(ConnectionClosed):
                await future


async def test_messages_with_an_id_outlive_the_connection(own_nats_server: NatsServer) -> None:
    async with stream(own_nats_server) as (js, name):
        futures = [await js.publish_async(f"{name}.a", msg_id=str(i)) for i in range(50)]
        await restart(own_nats_server, js.bus)
        await js.publish_async_completed()
        assert sorted(future.result().seq for future in futures) == list(range(1, 51))
        assert (await js.stream_info(name)).state.messages == 50


# -- stored messages


@BUSES
@pytest.mark.parametrize("direct", [False, True])
async def test_stored_messages_are_read_without_a_consumer(
    nats_server: NatsServer, kind: str, direct: bool
) -> None:
    async with stream(nats_server, kind, allow_direct=True) as (js, name):
        await js.publish(f"{name}.a", b"", headers={"K": "v"})
        await fill(js, name, 2, "b")
        first = await js.get_msg(name, 1, direct=direct)
        assert (first.seq, first.data, dict(first.headers)) == (1, b"", {"K": "v"})
        assert first.stream == name
        assert abs(datetime.now(UTC) - first.time) < timedelta(minutes=1)
        last = await js.get_last_msg(name, f"{name}.b", direct=direct)
        assert (last.sequence, last.data, dict(last.headers)) == (3, b"1", {})
        assert (await js.get_last_msg(name, f"{name}.*", direct=direct)).seq == 3
        following = await js.get_msg(name, 1, f"{name}.b", direct=direct, next=True)
        assert following.seq == 2
        for missing in ({"seq": 9}, {"subject": f"{name}.z"}):
            with pytest.raises(MessageNotFound):
                await js.get_msg(name, direct=direct, **missing)
        await js.delete_msg(name, 1, no_erase=False)
        with pytest.raises(MessageNotFound):
            await js.get_msg(name, 1, direct=direct)


async def test_a_stream_without_direct_access(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        await js.publish(f"{name}.a")
        with pytest.raises(NoStreamResponse):
            await js.get_msg(name, 1, direct=True)
        with pytest.raises(NoStreamResponse):
            await js.get_batch(name, 5)


@BUSES
async def test_several_stored_messages_at_once(nats_server: NatsServer, kind: str) -> None:
    async with stream(nats_server, kind, allow_direct=True) as (js, name):
        await fill(js, name, 4, "a")
        await fill(js, name, 4, "b")
        found = await js.get_batch(name, 3, seq=2, subject=f"{name}.a")
        assert [(msg.seq, msg.num_pending) for msg in found] == [(2, 2), (3, 1), (4, 0)]
        assert [msg.seq for msg in await js.get_batch(name, 3)] == [1, 2, 3]
        since = (await js.get_msg(name, 7)).time
        assert [msg.seq for msg in await js.get_batch(name, 9, start_time=since)] == [7, 8]
        assert len(await js.get_batch(name, 9, max_bytes=1)) == 1
        assert await js.get_batch(name, 3, subject=f"{name}.z") == []
        newest = await js.get_last_msgs_for(name, [f"{name}.a", f"{name}.b"])
        assert [msg.seq for msg in newest] == [4, 8]
        then = await js.get_last_msgs_for(name, [f"{name}.*"], up_to_seq=6)
        assert [(msg.seq, msg.data) for msg in then] == [(4, b"3"), (6, b"1")]
        early = await js.get_last_msgs_for(name, [f"{name}.*"], up_to_time=since, batch=1)
        assert [msg.seq for msg in early] == [4]


async def test_too_many_subjects_for_one_answer(nats_server: NatsServer) -> None:
    async with stream(nats_server, allow_direct=True, storage=StorageType.MEMORY) as (js, name):
        for number in range(1025):
            await js.publish_async(f"{name}.{number}")
        await js.publish_async_completed()
        with pytest.raises(BadRequest, match="Too Many Results"):
            await js.get_last_msgs_for(name, [f"{name}.*"])


# -- the ordered consumer


@BUSES
async def test_a_stream_in_order(nats_server: NatsServer, kind: str) -> None:
    async with stream(nats_server, kind) as (js, name):
        await fill(js, name, 1200)
        async with await js.ordered_consumer(name) as messages:
            assert messages.num_pending == 1200
            found = []
            async for msg in messages:
                found.append(msg.metadata.sequence.stream)
                if messages.num_pending == 0:
                    break
        assert found == list(range(1, 1201))


async def waiting(js: JetStreamContext, name: str, consumer: str) -> None:
    """Wait until the server has a request for messages."""
    while not (await js.consumer_info(name, consumer)).num_waiting:
        await asyncio.sleep(0)


async def gone(js: JetStreamContext, name: str) -> None:
    """Wait until the stream has no consumer."""
    while await js.consumer_names(name):
        await asyncio.sleep(0)


async def test_an_ordered_consumer_begins_where_it_is_told(nats_server: NatsServer) -> None:
    async with stream(nats_server) as (js, name):
        await fill(js, name, 3, "a")
        await fill(js, name, 3, "b")

        async def first(**options: object) -> tuple[int, int]:
            async with await js.ordered_consumer(name, **options) as messages:
                pending = messages.num_pending
                async for msg in messages:
                    return msg.metadata.sequence.stream, pending
            raise AssertionError

        assert await first() == (1, 6)
        assert await first(filter_subjects=f"{name}.b") == (4, 3)
        assert await first(filter_subjects=[f"{name}.b", f"{name}.c"]) == (4, 3)
        assert await first(deliver_policy=DeliverPolicy.LAST) == (6, 1)
        assert await first(deliver_policy=DeliverPolicy.LAST_PER_SUBJECT) == (3, 2)
        by_sequence = DeliverPolicy.BY_START_SEQUENCE
        assert await first(deliver_policy=by_sequence, opt_start_seq=5) == (5, 2)
        since = (await js.get_msg(name, 2)).time
        by_time = DeliverPolicy.BY_START_TIME
        assert await first(deliver_policy=by_time, opt_start_time=since) == (2, 5)
        await gone(js, name)
        with pytest.raises(StreamNotFound):
            await js.ordered_consumer(unique())


async def test_an_ordered_consumer_that_is_deleted_is_replaced(nats_server: NatsServer) -> None:
    made: list[str] = []
    errors: list[Exception] = []
    async with stream(nats_server) as (js, name):
        messages = await js.ordered_consumer(
            name,
            deliver_policy=DeliverPolicy.NEW,
            created_cb=lambda info: made.append(info.name),
            error_cb=errors.append,
        )
        await waiting(js, name, made[0])
        await js.delete_consumer(name, made[0])
        await fill(js, name, 3)  # the second one begins before these, although it is a new one
        found = []
        async for msg in messages:
            found.append(msg.metadata.sequence.stream)
            if len(found) == 3:
                messages.stop()
        assert found == [1, 2, 3]
        assert [type(error).__name__ for error in errors] == ["ConsumerDeleted"]
        assert len(made) == 2


@BUSES
async def test_an_ordered_consumer_outlives_its_server(
    own_nats_server: NatsServer, kind: str
) -> None:
    async with stream(own_nats_server, kind) as (js, name):
        await fill(js, name, 10)
        found: list[int] = []
        async with await js.ordered_consumer(name) as messages:
            async for msg in messages:
                found.append(msg.metadata.sequence.stream)
                if len(found) == 5:
                    await restart(own_nats_server, js.bus)
                    await fill(js, name, 5)
                if len(found) == 15:
                    break
        assert found == list(range(1, 16))


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


async def test_an_ordered_consumer_of_a_stream_that_goes(nats_server: NatsServer) -> None:
    async with jetstream(nats_server, timeout=1) as js:
        name = unique()
        await js.add_stream(name=name, subjects=[name])
        messages = await js.ordered_consumer(name, error_cb=lambda _: None)
        await waiting(js, name, (await js.consumer_names(name))[0])
        await js.delete_stream(name)
        with pytest.raises(StreamNotFound):
            async for _ in messages:
                pass
        assert messages.ended


async def test_no_answer_in_time(nats_server: NatsServer) -> None:
    async with jetstream(nats_server) as js:
        silent = unique()
        await js.bus.subscribe(silent)
        with pytest.raises(RequestTimeout):
            await js.publish(silent, timeout=0.01)


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


# -- batches, counters, schedules


async def test_a_batch_is_stored_as_one(nats_server: NatsServer) -> None:
    async with stream(nats_server, allow_atomic=True) as (js, name):
        batch = js.atomic_batch()
        for number in range(250):
            await batch.add(f"{name}.a", b"%d" % number)
        assert (await js.stream_info(name)).state.messages == 0
        ack = await batch.commit(f"{name}.a", b"last", headers={"K": "v"})
        assert (ack.seq, ack.batch_size, ack.batch_id) == (251, 251, batch.id)
        assert len(batch) == 251
        last = await js.get_msg(name, 251)
        assert (last.data, last.headers["K"]) == (b"last", "v")
        for again in (batch.add(f"{name}.a"), batch.commit(f"{name}.a")):
            with pytest.raises(BatchEnded):
                await again
        without = js.atomic_batch()
        await without.add(f"{name}.b", b"one")
        assert (await without.commit()).batch_size == 1
        with pytest.raises(BatchEnded):
            await js.atomic_batch().commit()


async def test_a_batch_that_is_refused_stores_nothing(nats_server: NatsServer) -> None:
    async with stream(nats_server, allow_atomic=True) as (js, name):
        await js.publish(f"{name}.a")
        batch = js.atomic_batch()
        await batch.add(f"{name}.a", b"one")
        await batch.add(f"{name}.b", b"two", expected_last_subject_sequence=7)
        with pytest.raises(WrongLastSequence):
            await batch.commit(f"{name}.c", b"three")
        late = js.atomic_batch()
        await late.add(f"{name}.a", b"one")
        late.id = unique()  # as if the server had never seen the first
        with pytest.raises(BatchIncomplete):
            await late.commit(f"{name}.a", b"two")
        assert (await js.stream_info(name)).state.messages == 1
        with pytest.raises(NoStreamResponse):
            await js.atomic_batch().add(unique())
    async with stream(nats_server) as (js, name):
        refused = js.atomic_batch()
        with pytest.raises(BadRequest, match="atomic publish is disabled"):
            await refused.add(f"{name}.a")
        with pytest.raises(BatchEnded):
            await refused.add(f"{name}.a")


async def test_a_batch_larger_than_the_buffer_of_the_bus(nats_server: NatsServer) -> None:
    async with stream(nats_server, allow_atomic=True, storage=StorageType.MEMORY) as (js, name):
        batch = js.atomic_batch()
        for _ in range(10):
            await batch.add(f"{name}.a", bytes(600_000))
        assert (await batch.commit(f"{name}.a")).batch_size == 11


async def test_counters(nats_server: NatsServer) -> None:
    async with stream(nats_server, allow_msg_counter=True, allow_direct=True) as (js, name):
        counter = js.counter(name)
        assert await counter.add(f"{name}.hits", 5) == 5
        assert await counter.add(f"{name}.hits", -7) == -2
        huge = 10**30
        assert await counter.add(f"{name}.hits", huge) == huge - 2
        entry = await counter.get(f"{name}.hits")
        assert (entry.subject, entry.value, entry.increment) == (f"{name}.hits", huge - 2, huge)
        await counter.add(f"{name}.misses", 1)
        found = await counter.get_multiple([f"{name}.>"])
        assert {entry.subject: entry.value for entry in found} == {
            f"{name}.hits": huge - 2,
            f"{name}.misses": 1,
        }
        with pytest.raises(MessageNotFound):
            await counter.get(f"{name}.none")
        total = unique()
        source = StreamSource(
            name, subject_transforms=[SubjectTransform(f"{name}.*", f"{total}.{{{{wildcard(1)}}}}")]
        )
        await js.add_stream(name=total, sources=[source], allow_msg_counter=True, allow_direct=True)
        while (await js.stream_info(total)).state.messages < 4:
            await asyncio.sleep(0)
        summed = await js.counter(total).get(f"{total}.misses")
        assert (summed.value, summed.sources) == (1, {name: {f"{name}.misses": 1}})


async def test_a_message_is_published_later(nats_server: NatsServer) -> None:
    async with stream(nats_server, allow_msg_schedules=True, allow_msg_ttl=True) as (js, name):
        soon = datetime.now(UTC) + timedelta(seconds=1)
        headers = schedule(soon, f"{name}.now", msg_ttl=60)
        await js.publish(f"{name}.later.1", b"hello", headers=headers)
        with pytest.raises(BadRequest):
            await js.publish(f"{name}.later.2", headers=schedule("never ever", f"{name}.now"))
        subscription = await js.pull_subscribe(f"{name}.now", "d")
        (msg,) = await subscription.fetch()
        assert (msg.data, msg.headers[Header.SCHEDULER]) == (b"hello", f"{name}.later.1")
        assert msg.headers[Header.MSG_TTL] == "60"


# -- other servers, other clients


@BUSES
async def test_acknowledgements_of_the_second_form(tmp_path: Path, kind: str) -> None:
    server = NatsServer(tmp_path / "nats", extra="feature_flags { js_ack_fc_v2: true }")
    server.start()
    try:
        async with stream(server, kind) as (js, name):
            await fill(js, name, 10)
            subscription = await js.pull_subscribe(f"{name}.a", "d")
            (msg,) = await subscription.fetch()
            assert len(msg.reply.split(".")) >= 11
            assert (msg.metadata.stream, msg.metadata.consumer) == (name, "d")
            assert (msg.metadata.sequence, msg.metadata.num_pending) == ((1, 1), 9)
            assert msg.metadata.domain is None
            await msg.ack_sync()
            async with await subscription.consume() as messages:
                async for msg in messages:
                    msg.ack()
                    if msg.metadata.num_pending == 0:
                        break
            seen = []
            async with await js.ordered_consumer(name) as ordered:
                async for msg in ordered:
                    seen.append(msg.metadata.sequence.stream)
                    if ordered.num_pending == 0:
                        break
            assert seen == list(range(1, 11))
            while (await subscription.consumer_info()).ack_floor.stream_seq < 10:
                await asyncio.sleep(0)
    finally:
        server.kill()


async def test_a_domain(tmp_path: Path) -> None:
    folder = (tmp_path / "store").as_posix()
    extra = f'jetstream {{ store_dir: "{folder}", domain: hub }}\n'
    server = NatsServer(tmp_path / "nats", extra=extra)
    server.start()
    try:
        async with jetstream(server, domain="hub") as js:
            assert js.prefix == "$JS.hub.API"
            assert (await js.account_info()).domain == "hub"
            await js.add_stream(name="s", subjects=["a"], allow_direct=True)
            ack = await js.publish("a", b"one")
            assert (ack.stream, ack.domain) == ("s", "hub")
            assert (await js.get_msg("s", 1, direct=True)).data == b"one"
            (msg,) = await (await js.pull_subscribe("a", "d")).fetch()
            await msg.ack_sync()
        async with jetstream(server, domain="other") as js:
            with pytest.raises(JetStreamNotEnabled):
                await js.account_info()
    finally:
        server.kill()


@pytest.mark.parametrize("kind", ["tcp", "websocket"])
async def test_what_nats_py_stores_and_what_it_reads(nats_server: NatsServer, kind: str) -> None:
    peer = await nats_py.connect(nats_server.url)
    theirs = peer.jetstream()
    name = unique()
    try:
        async with jetstream(nats_server, kind) as js:
            await theirs.add_stream(
                name=name,
                subjects=[f"{name}.>"],
                max_age=60,
                allow_direct=True,
                metadata={"a": "b"},
            )
            config = (await js.stream_info(name)).config
            assert (config.max_age, config.allow_direct) == (60, True)
            await theirs.publish(f"{name}.a", b"theirs", headers={"K": "v"}, msg_ttl=None)
            await js.publish(f"{name}.a", b"ours", headers={"K": "w"})
            await js.update_stream(config, max_msgs=10)
            assert (await theirs.stream_info(name)).config.max_msgs == 10
            our_config = ConsumerConfig(ack_wait=10)
            subscription = await js.pull_subscribe(f"{name}.a", "shared", config=our_config)
            their_subscription = await theirs.pull_subscribe(f"{name}.a", "shared")
            assert (await their_subscription.consumer_info()).config.ack_wait == 10
            (theirs_first,) = await their_subscription.fetch(1)
            assert (theirs_first.data, theirs_first.headers) == (b"theirs", {"K": "v"})
            await theirs_first.ack_sync()
            (ours,) = await subscription.fetch()
            assert (ours.data, ours.headers["K"]) == (b"ours", "w")
            assert ours.metadata.sequence.stream == 2
            await ours.ack_sync()
            assert (await their_subscription.consumer_info()).ack_floor.stream_seq == 2
            assert (await theirs.get_msg(name, 2, direct=True)).data == b"ours"
            async with await js.ordered_consumer(name) as messages:
                seen = []
                async for msg in messages:
                    seen.append(msg.data)
                    if len(seen) == 2:
                        break
            assert seen == [b"theirs", b"ours"]
    finally:
        await peer.close()


async def test_a_bus_without_jetstream() -> None:
    bus = LocalBus()
    js = JetStreamContext(bus)
    with pytest.raises(JetStreamNotEnabled, match="nobody answers"):
        await js.add_stream(name="s")
    with pytest.raises(NoStreamResponse):
        await js.publish("a")
    await bus.close()
