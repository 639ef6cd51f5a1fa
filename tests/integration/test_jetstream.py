"""JetStream against a real nats-server: streams, publishing, stored messages."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from agents_core.errors import ConnectionClosed
from agents_core.ids import unique
from agents_core.nats.jetstream import (
    Header,
    PubAck,
    RePublish,
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
    MessageNotFound,
    NoStreamResponse,
    StreamNameInUse,
    StreamNotFound,
    TooManyStalledMsgs,
    WrongLastMsgId,
    WrongLastSequence,
    WrongStream,
)
from agents_server.nats_server import NatsServer
from tests.integration.streams import BUSES, fill, jetstream, restart, stream

pytestmark = pytest.mark.nats


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
        assert await js.purge_stream(name, seq=0)
        assert (await js.stream_info(name)).state.messages == 2
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
        assert (await js.get_msg(name, 2, direct=direct, next=True)).seq == 2
        for missing in ({"seq": 9}, {"subject": f"{name}.z"}):
            with pytest.raises(MessageNotFound):
                await js.get_msg(name, direct=direct, **missing)
        await js.delete_msg(name, 1, no_erase=False)
        with pytest.raises(MessageNotFound):
            await js.get_msg(name, 1, direct=direct)
        assert (await js.get_msg(name, 1, direct=direct, next=True)).seq == 2


async def test_a_republished_message_keeps_its_headers(nats_server: NatsServer) -> None:
    """The server describes it, on each of the two ways, by headers of the same names."""
    async with stream(nats_server, allow_direct=True) as (js, name):
        await js.publish(f"{name}.a")
        origin = unique()
        republish = RePublish(src=f"{origin}.>", dest=f"{name}.>")
        await js.add_stream(name=origin, subjects=[f"{origin}.>"], republish=republish)
        await js.publish(f"{origin}.b", b"1")
        while (await js.stream_info(name)).state.messages < 2:
            await asyncio.sleep(0)
        told = await js.get_msg(name, 2)
        assert (told.stream, told.subject, told.seq) == (name, f"{name}.b", 2)
        assert told.headers[Header.SUBJECT] == f"{origin}.b"
        assert await js.get_msg(name, 2, direct=True) == told
        (batched,) = await js.get_batch(name, 5, seq=2)
        assert (batched.seq, batched.time_ns, batched.headers) == (2, told.time_ns, told.headers)


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
