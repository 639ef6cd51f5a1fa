"""Watching key-value buckets on a real nats-server: what was there, and what follows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents_core.errors import ConnectionClosed
from agents_core.nats.jetstream import ConsumerInfo, Operation, StorageType
from agents_core.nats.jetstream.errors import FetchTimeout, InvalidOption, StreamNotFound
from agents_core.nats.jetstream.flow import MAX_MESSAGES
from agents_server.nats_server import NatsServer
from tests.integration.buckets import brief, bucket, fill, initial, take
from tests.integration.streams import BUSES, gone, jetstream, restart

pytestmark = pytest.mark.nats


@BUSES
async def test_what_is_there_and_then_what_changes(nats_server: NatsServer, kind: str) -> None:
    async with bucket(nats_server, kind, history=5) as (kv, js):
        await kv.put("a", b"1")
        await kv.put("a", b"2")
        await kv.put("b", b"3")
        await kv.delete("b")
        async with await kv.watchall() as watcher:
            assert [brief(entry) for entry in await initial(watcher)] == [
                ("a", b"2", None),
                ("b", b"", Operation.DEL),
            ]
            with pytest.raises(FetchTimeout):
                await watcher.updates(0.01)
            later = asyncio.create_task(watcher.updates())
            await kv.put("a", b"4")
            entry = await later
            assert entry is not None
            assert (brief(entry), entry.revision, entry.delta) == (("a", b"4", None), 5, 0)
            assert entry.created == (await kv.get("a")).created
            await kv.purge("a")
            await kv.create("a", b"5")
            assert [brief(entry) for entry in await take(watcher, 2)] == [
                ("a", b"", Operation.PURGE),
                ("a", b"5", None),
            ]
        assert watcher.ended
        with pytest.raises(ConnectionClosed):
            await watcher.updates()
        assert [entry async for entry in watcher] == []
        await gone(js, f"KV_{kv.bucket}")


@BUSES
async def test_an_empty_bucket_is_complete_at_once(nats_server: NatsServer, kind: str) -> None:
    async with bucket(nats_server, kind) as (kv, _):
        async with await kv.watchall() as watcher:
            assert await watcher.updates() is None
            await kv.put("a", b"1")
            assert [entry.key for entry in await take(watcher, 1)] == ["a"]
        async with await kv.watch("other.*") as watcher:
            assert await watcher.updates() is None


async def test_where_a_watch_begins(nats_server: NatsServer) -> None:
    async with bucket(nats_server, history=5) as (kv, _):
        for value in (b"1", b"2", b"3"):
            await kv.put("a", value)
        await kv.put("b", b"4")
        async with await kv.watch("a", include_history=True) as watcher:
            assert [entry.value for entry in await initial(watcher)] == [b"1", b"2", b"3"]
        async with await kv.watchall(updates_only=True) as watcher:
            assert await watcher.updates() is None
            await kv.put("b", b"5")
            assert [entry.value for entry in await take(watcher, 1)] == [b"5"]
        async with await kv.watchall(resume_from_revision=3) as watcher:
            assert [entry.value for entry in await initial(watcher)] == [b"3", b"4", b"5"]
        async with await kv.watchall(resume_from_revision=6) as watcher:
            assert await watcher.updates() is None
        with pytest.raises(InvalidOption):
            await kv.watchall(include_history=True, updates_only=True)
        with pytest.raises(InvalidOption):
            await kv.watchall(include_history=True, resume_from_revision=1)


async def test_what_a_watch_is_about(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as (kv, js):
        for key in ("a.1", "a.2", "b.1", "c"):
            await kv.put(key, b"v")
        await kv.delete("a.2")
        async with await kv.watch("a.*", ignore_deletes=True) as watcher:
            assert [entry.key for entry in await initial(watcher)] == ["a.1"]
            await kv.delete("a.1")
            await kv.put("a.2", b"w")
            assert [brief(entry) for entry in await take(watcher, 1)] == [("a.2", b"w", None)]
        async with await kv.watch(["b.*", "c"], meta_only=True, inactive_threshold=7) as watcher:
            assert [brief(entry) for entry in await initial(watcher)] == [
                ("b.1", None, None),
                ("c", None, None),
            ]
            (consumer,) = await js.consumers_info(f"KV_{kv.bucket}")
            assert consumer.config.inactive_threshold == 7
        async with await kv.watch("", headers_only=True) as watcher:
            assert {entry.value for entry in await initial(watcher)} == {None}


# -- the end of the initial data


@pytest.mark.parametrize("history", [1, 3])
async def test_the_initial_data_is_complete_while_others_write(
    nats_server: NatsServer, history: int
) -> None:
    async with (
        bucket(nats_server, history=history, storage=StorageType.MEMORY) as (kv, js),
        jetstream(nats_server, publish_async_max_pending=64) as other,
    ):
        for _ in range(history):
            keys = await fill(kv, js, 200)
        done = asyncio.Event()

        async def write() -> None:
            while not done.is_set():
                for key in keys[::3]:
                    await other.publish_async(f"$KV.{kv.bucket}.{key}", b"new")
            await other.publish_async_completed()

        writing = asyncio.create_task(write())
        for _ in range(20):
            async with await kv.watchall() as watcher:
                assert {entry.key for entry in await initial(watcher)} == set(keys)
            assert set(await kv.keys("key.*")) == set(keys)
        done.set()
        await writing


async def test_what_vanishes_before_its_turn_is_not_waited_for(nats_server: NatsServer) -> None:
    async with bucket(nats_server, history=3, storage=StorageType.MEMORY) as (kv, js):
        keys = await fill(kv, js, 2000)
        async with await kv.watchall() as watcher:
            first = await watcher.updates()
            # The server stops behind each of these until its next heartbeat: 20 times 5 s.
            for key in keys[1000:1020]:
                await js.purge_stream(f"KV_{kv.bucket}", subject=f"$KV.{kv.bucket}.{key}")
            await kv.purge(keys[-1])
            found = [first, *await initial(watcher)]
            assert len(found) == 1980
            assert found[-1] is not None
            assert brief(found[-1]) == (keys[-1], b"", Operation.PURGE)


async def test_everything_vanishes_before_its_turn(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as (kv, js):
        await kv.put("a", b"v")
        await kv.put("other", b"v")
        create = js.create_consumer

        async def create_and_purge(*arguments: Any) -> ConsumerInfo:
            info = await create(*arguments)
            await js.purge_stream(f"KV_{kv.bucket}", subject=f"$KV.{kv.bucket}.a")
            return info

        js.create_consumer = create_and_purge  # type: ignore[method-assign]
        async with await kv.watch("a") as watcher:
            assert await watcher.updates() is None
            del js.create_consumer
            await kv.put("a", b"w")
            assert [entry.value for entry in await take(watcher, 1)] == [b"w"]


async def test_a_cancelled_wait_loses_nothing(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as (kv, js):
        keys = await fill(kv, js, 1000)
        found: list[str] = []
        async with await kv.watchall() as watcher:
            is_over = False
            while not is_over:
                try:
                    entry = await watcher.updates(0.0001)
                except FetchTimeout:
                    continue
                is_over = entry is None
                found += [entry.key] if entry else []
        assert found == keys


# -- bounds and ends


async def test_a_slow_reader_is_waited_for(nats_server: NatsServer) -> None:
    async with bucket(nats_server, storage=StorageType.MEMORY) as (kv, js):
        keys = await fill(kv, js, 3000)
        watcher = await kv.watchall()
        while watcher.pending_msgs < MAX_MESSAGES:
            await asyncio.sleep(0)
        await fill(kv, js, 3000)
        await js.bus.flush()
        assert watcher.pending_msgs == MAX_MESSAGES
        assert {entry.key for entry in await initial(watcher)} == set(keys)
        await watcher.stop()


async def test_stopping_with_much_unread_does_not_wait(nats_server: NatsServer) -> None:
    async with bucket(nats_server, storage=StorageType.MEMORY) as (kv, js):
        await fill(kv, js, 3000)
        watcher = await kv.watchall()
        while watcher.pending_msgs < MAX_MESSAGES:
            await asyncio.sleep(0)
        waiting = asyncio.create_task(initial(watcher))
        watcher.stop()  # a plain function: it can't hang
        watcher.stop()
        assert await waiting == []
        assert watcher.ended
        await gone(js, f"KV_{kv.bucket}")


async def test_a_reader_that_waits_is_told_of_the_end(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as (kv, js):
        watchers = [await kv.watchall(error_cb=lambda _: None) for _ in range(2)]
        for watcher in watchers:
            assert await watcher.updates() is None
        stopped, failing = (asyncio.create_task(take(watcher, 1)) for watcher in watchers)
        await asyncio.sleep(0)
        watchers[0].stop()
        with pytest.raises(ConnectionClosed):
            await stopped
        await js.delete_key_value(kv.bucket)
        with pytest.raises(StreamNotFound):
            await failing
        with pytest.raises(StreamNotFound):
            await kv.watchall()


# -- a lost server


@BUSES
async def test_a_watch_outlives_its_server(own_nats_server: NatsServer, kind: str) -> None:
    async with bucket(own_nats_server, kind, history=64) as (kv, js):
        for number in range(5):
            await kv.put("a", b"%d" % number)
        async with await kv.watchall() as watcher:
            assert [entry.value for entry in await initial(watcher)] == [b"4"]
            found: list[int] = []
            for round_ in range(3):
                for number in range(10):
                    await kv.put("a", b"%d" % number)
                reading = asyncio.create_task(take(watcher, 3))
                await restart(own_nats_server, js.bus)
                found += [entry.revision for entry in await reading]
                await kv.put("b", b"%d" % round_)
                found += [entry.revision for entry in await take(watcher, 8)]
            assert found == list(range(6, 39))
            with pytest.raises(FetchTimeout):
                await watcher.updates(0.1)


@BUSES
@pytest.mark.parametrize("history", [1, 3])
async def test_the_initial_data_outlives_the_server(
    own_nats_server: NatsServer, kind: str, history: int
) -> None:
    async with bucket(own_nats_server, kind, history=history) as (kv, js):
        for number in range(history):
            keys = await fill(kv, js, 2000, b"%d" % number)
        async with await kv.watchall() as watcher:
            found = await take(watcher, 100)
            own_nats_server.kill()
            reading = asyncio.create_task(initial(watcher))
            own_nats_server.start()
            found += await reading
            revisions = [entry.revision for entry in found]
            assert revisions == sorted(set(revisions))
            newest = {entry.key: entry.value for entry in found}
            assert newest == dict.fromkeys(keys, b"%d" % (history - 1))
        assert set(await kv.keys()) == set(keys)


async def test_what_follows_an_empty_beginning_is_not_lost(own_nats_server: NatsServer) -> None:
    async with bucket(own_nats_server, history=5) as (kv, js), await kv.watchall() as watcher:
        assert await watcher.updates() is None
        create = js.create_consumer

        async def write_and_create(*arguments: Any) -> ConsumerInfo:
            del js.create_consumer
            for value in (b"1", b"2", b"3"):
                await kv.put("a", value)
            return await create(*arguments)

        js.create_consumer = write_and_create  # type: ignore[method-assign]
        await restart(own_nats_server, js.bus)
        assert [entry.value for entry in await take(watcher, 3)] == [b"1", b"2", b"3"]


async def test_the_bus_is_closed(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as (kv, js):
        watcher = await kv.watchall()
        waiting = asyncio.create_task(take(watcher, 1))
        await asyncio.sleep(0)
        await js.bus.close()
        with pytest.raises(ConnectionClosed):
            await waiting
        watcher.stop()
