"""Watching: what is there, then None, once, then the changes."""

from __future__ import annotations

import asyncio
import logging

import pytest

from agents_core import jsonvalue
from agents_core.bus import Status
from agents_core.errors import ConnectionClosed, RequestTimeout
from agents_core.nats.jetstream import ObjectInfo, ObjectWatcher, object_silence
from agents_core.nats.jetstream.errors import StreamNotFound
from agents_core.nats.jetstream.object_watcher import PENDING_MAX
from tests.core.nats.jetstream.fake import set_status, settle
from tests.core.nats.jetstream.fake_bucket import NO_STREAM, Bucket, Consumer, bucket


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_silence, "SILENCE_S", 0.001)


def add(stream: Bucket, *names: str, deleted: bool = False) -> None:
    for name in names:
        info = ObjectInfo(name, "b", "n", deleted=deleted)
        stream.add(f"$O.b.M.{name}", jsonvalue.dumps(info.as_dict()), {"Nats-Rollup": "sub"})


async def names(watcher: ObjectWatcher, count: int) -> list[str | None]:
    return [info.name if (info := await watcher.updates()) else None for _ in range(count)]


async def test_what_is_there_and_then_the_changes() -> None:
    async with bucket() as (store, stream):
        add(stream, "a", "b", "a")
        async with await store.watch() as watcher:
            assert await names(watcher, 3) == ["b", "a", None]
            add(stream, "c")
            assert await names(watcher, 1) == ["c"]
            with pytest.raises(RequestTimeout):
                await watcher.updates(0.001)
        assert watcher._guard is not None
        assert watcher._guard.done()


async def test_nothing_is_there() -> None:
    async with bucket() as (store, stream):
        async with await store.watch() as watcher:
            assert await names(watcher, 1) == [None]
        async with await store.watch(updates_only=True) as watcher:
            add(stream, "a")
            assert await names(watcher, 1) == ["a"]
            with pytest.raises(RequestTimeout):
                await watcher.updates(0.001)


async def test_deletes_can_be_left_out() -> None:
    async with bucket() as (store, stream):
        add(stream, "a", "b")
        add(stream, "a", deleted=True)
        async with await store.watch(ignore_deletes=True) as watcher:
            assert await names(watcher, 2) == ["b", None]
        assert [info.name for info in await store.list()] == ["b"]
        assert [info.name for info in await store.list(ignore_deletes=False)] == ["b", "a"]


async def test_what_was_there_goes_before_it_is_delivered() -> None:
    async with bucket() as (store, stream):
        add(stream, "a", "b", "c")
        deliver, stream._deliver = stream._deliver, lambda consumer: None
        async with await store.watch() as watcher:
            stream.remove([2, 3])
            stream._deliver = deliver
            deliver(*stream.consumers.values())
            assert await names(watcher, 2) == ["a", None]
            assert watcher._left == 2  # the count alone would not have told
        stream._deliver = lambda consumer: None
        async with await store.watch() as watcher:
            stream.remove([1])
            assert await names(watcher, 1) == [None]


async def test_it_is_complete_although_others_go_on_writing() -> None:
    """An object that is changed before it was delivered is among what is added meanwhile."""
    async with bucket() as (store, stream):
        add(stream, "a", "b", "c")
        deliver, stream._deliver = stream._deliver, lambda consumer: None
        async with await store.watch() as watcher:
            add(stream, "hot", "hot", "hot", "b")  # three changes and an old object: a c hot b

            def one_more_each_time(consumer: Consumer) -> None:
                if stream.last < 30:
                    stream._deliver = lambda consumer: None
                    add(stream, "hot")
                    stream._deliver = one_more_each_time
                deliver(consumer)

            stream._deliver = one_more_each_time
            for consumer in stream.consumers.values():
                one_more_each_time(consumer)
            seen = []
            while (info := await watcher.updates()) is not None:
                seen.append(info.name)
            assert {"a", "b", "c"} <= set(seen)


async def test_the_count_of_two_rounds() -> None:
    async with bucket() as (store, _stream), await store.watch() as watcher:
        await names(watcher, 1)
        watcher._initial, watcher._left = True, 3
        pending = [9, 8, 4, 9, 9, 9, 9]  # after three messages there are four more
        for number, left in enumerate(pending):
            assert watcher._initial, number
            watcher._count(left)
        assert not watcher._initial


async def test_a_consumer_that_is_replaced_before_it_is_complete() -> None:
    async with bucket() as (store, stream):
        add(stream, "a", "b")
        deliver, stream._deliver = stream._deliver, lambda consumer: None
        async with await store.watch() as watcher:
            stream.remove([1, 2])
            set_status(store._js, Status.RECONNECTING)
            set_status(store._js, Status.CONNECTED)
            assert await names(watcher, 1) == [None]
            stream._deliver = deliver
            await settle(stream.bus)
            add(stream, "c")
            assert await names(watcher, 1) == ["c"]


async def test_meta_that_is_damaged(caplog: pytest.LogCaptureFixture) -> None:
    async with bucket() as (store, stream):
        add(stream, "a")
        stream.add("$O.b.M.x", b"damaged")
        with caplog.at_level(logging.WARNING):
            assert [info.name for info in await store.list()] == ["a"]
        assert "an object's meta in bucket 'b'" in caplog.text


async def test_a_slow_reader() -> None:
    async with bucket() as (store, stream):
        many = [f"n{number}" for number in range(2 * PENDING_MAX)]
        add(stream, *many)
        async with await store.watch() as watcher:
            while len(watcher._entries) < PENDING_MAX:
                await asyncio.sleep(0)
            await settle(stream.bus)
            assert len(watcher._entries) == PENDING_MAX
            assert await names(watcher, len(many) + 1) == [*many, None]
        async with await store.watch() as watcher:  # it can be stopped while it waits
            while len(watcher._entries) < PENDING_MAX:
                await asyncio.sleep(0)


async def test_what_ends_it() -> None:
    async with bucket() as (store, stream):
        watcher = await store.watch()
        assert await names(watcher, 1) == [None]
        stream.answers = lambda operation, body: NO_STREAM
        set_status(store._js, Status.RECONNECTING)
        set_status(store._js, Status.CONNECTED)
        with pytest.raises(StreamNotFound):
            await watcher.updates(None)
        with pytest.raises(StreamNotFound):
            await anext(aiter(watcher))
        with pytest.raises(StreamNotFound):
            await store.watch()
        stream.answers = lambda operation, body: None
        watcher = await store.watch()
        waiting = asyncio.create_task(watcher.updates(None))
        assert await waiting is None
        waiting = asyncio.create_task(watcher.updates(None))
        await asyncio.sleep(0)
        await watcher.stop()
        with pytest.raises(ConnectionClosed):
            await waiting
        assert [info async for info in watcher] == []
        watcher = await store.watch()
        await store._js.bus.close()
        assert [info async for info in watcher] == [None]


async def test_one_that_was_never_opened() -> None:
    async with bucket() as (store, _):
        watcher = ObjectWatcher(
            store._js, "b", ignore_deletes=False, include_history=True, updates_only=False
        )
        await watcher.stop()
        with pytest.raises(ConnectionClosed):
            await watcher.updates()
