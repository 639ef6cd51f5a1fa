"""Watching a bucket, over every bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from agents_core.errors import ConnectionClosed
from agents_core.ids import unique
from agents_core.nats.jetstream import ObjectInfo, StorageType
from agents_core.nats.jetstream.errors import FetchTimeout, StreamNotFound
from agents_server.nats_server import NatsServer
from tests.integration.objects import bucket
from tests.integration.streams import BUSES, jetstream, restart

pytestmark = pytest.mark.nats


@BUSES
async def test_a_bucket_is_watched(nats_server: NatsServer, kind: str) -> None:
    async with bucket(nats_server, kind) as store:
        async with await store.watch() as watcher:
            assert await watcher.updates() is None
            await store.put("a", b"1")
            info = await watcher.updates()
            assert info is not None
            assert (info.name, info.deleted) == ("a", False)
            assert info.mtime == (await store.get_info("a")).mtime
            with pytest.raises(FetchTimeout):
                await watcher.updates(timeout=0.01)
        await store.put("b", b"1")
        await store.delete("a")
        seen: list[str | None] = []
        async with await store.watch() as watcher:
            async for info in watcher:
                seen.append(f"{info.name} {info.deleted}" if info else None)
                if info is None:
                    await store.put("c", b"")
                elif info.name == "c":
                    await watcher.stop()
        assert seen == ["b False", "a True", None, "c False"]
        with pytest.raises(ConnectionClosed):
            await watcher.updates()


async def test_what_a_watcher_leaves_out(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as store:
        await store.put("a", b"1")
        await store.put("b", b"1")
        await store.delete("a")
        async with await store.watch(ignore_deletes=True) as watcher:
            first = await watcher.updates()
            assert first is not None
            assert first.name == "b"
            assert await watcher.updates() is None
        async with await store.watch(updates_only=True) as watcher:
            assert await watcher.updates() is None
            await store.put("c", b"1")
            first = await watcher.updates()
            assert first is not None
            assert first.name == "c"
        subject = f"$O.{store.bucket}.M.Yg=="  # as nats.js does, which leaves the former ones
        await store._js.publish(subject, b'{"name":"b","description":"more"}')
        async with await store.watch(include_history=True) as watcher:
            names = [info.name if (info := await watcher.updates()) else None for _ in range(5)]
            assert names == ["b", "a", "c", "b", None]
        async with await store.watch() as watcher:
            names = [info.name if (info := await watcher.updates()) else None for _ in range(4)]
            assert names == ["a", "c", "b", None]


async def test_more_objects_than_a_watcher_keeps(nats_server: NatsServer) -> None:
    async with bucket(nats_server, storage=StorageType.MEMORY) as store:
        for number in range(600):
            await store.add_bucket_link(str(number), store)
        async with await store.watch() as watcher:
            while watcher.pending_msgs < 500:
                await asyncio.sleep(0)
            assert len(await store.list()) == 600
            assert watcher.pending_msgs == 500
            found = [info async for info in until_none(watcher)]
        assert [info.name for info in found] == [str(number) for number in range(600)]


async def until_none(watcher: AsyncIterator[ObjectInfo | None]) -> AsyncIterator[ObjectInfo]:
    async for info in watcher:
        if info is None:
            return
        yield info


async def test_a_watched_bucket_goes(own_nats_server: NatsServer) -> None:
    async with jetstream(own_nats_server) as js:
        store = await js.create_object_store(unique())
        watcher = await store.watch()
        assert await watcher.updates() is None
        await js.delete_object_store(store.bucket)
        await restart(own_nats_server, js.bus)  # so that nobody has to wait for heartbeats
        with pytest.raises(StreamNotFound):
            await watcher.updates(None)
        with pytest.raises(StreamNotFound):
            async for _ in watcher:
                pass
        await watcher.stop()
        with pytest.raises(StreamNotFound):
            await store.watch()


@BUSES
async def test_watching_outlives_the_server(own_nats_server: NatsServer, kind: str) -> None:
    async with bucket(own_nats_server, kind) as store:
        await store.put("a", b"1")
        async with await store.watch() as watcher:
            assert [(await watcher.updates()) is None for _ in range(2)] == [False, True]
            await restart(own_nats_server, store._js.bus)
            await store.put("b", b"1")
            info = await watcher.updates()
            assert info is not None
            assert info.name == "b"
