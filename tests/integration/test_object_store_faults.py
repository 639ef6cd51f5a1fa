"""The object store when something goes wrong: damage, failures, several at once, a lost server."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator

import pytest

from agents_core.bus import Status
from agents_core.errors import ConnectionClosed, NotConnected
from agents_core.ids import unique
from agents_core.nats.jetstream import (
    ObjectMeta,
    ObjectStore,
    object_reader,
)
from agents_core.nats.jetstream.errors import (
    StoreFailed,
)
from agents_core.nats.jetstream.object_errors import (
    BadObjectMeta,
    DigestMismatch,
    ObjectIncomplete,
    ObjectNotFound,
)
from agents_server.nats_server import NatsServer
from tests.integration.objects import CHUNK, MIB, bucket, chunks_in, subject_of
from tests.integration.streams import BUSES, jetstream, restart, until

pytestmark = pytest.mark.nats

# -- what is wrong with it


@pytest.fixture
def quick_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_reader, "QUIET_S", 0.02)


@pytest.mark.usefixtures("quick_silence")
async def test_damaged_content(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as store:
        js, subject = store._js, subject_of(info := await store.put("a", b"x" * 300_000))
        await js.delete_msg(store._stream, 2)
        with pytest.raises(ObjectIncomplete) as missing:
            await store.get("a")
        assert (missing.value.name, missing.value.chunks, missing.value.found) == ("a", 3, 2)
        await js.publish(subject, b"y" * CHUNK)
        with pytest.raises(DigestMismatch) as wrong:
            await store.get("a")
        assert wrong.value.expected == info.digest != wrong.value.found
        await js.purge_stream(store._stream, subject=subject)
        with pytest.raises(ObjectIncomplete, match="0 of 3"):
            await store.get("a")
        for _ in range(3):
            await js.publish(subject, b"x" * 100_001)
        with pytest.raises(DigestMismatch):
            await store.get("a", writeinto=io.BytesIO())


@pytest.mark.usefixtures("quick_silence")
async def test_chunks_that_go_while_they_are_read(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as store:
        info = await store.put("a", os.urandom(8 * MIB))
        async with await store.open("a") as reader:
            async for _ in reader:
                await store._js.purge_stream(store._stream, subject=subject_of(info))
                break
            with pytest.raises(ObjectIncomplete):
                async for _ in reader:
                    pass


async def test_meta_that_is_none(nats_server: NatsServer) -> None:
    good = '{"name":"a","bucket":"b","nuid":"n","size":1,"chunks":1'
    wrong = ["", "[]", "{", '{"bucket":"b"}', good.replace("1,", '"1",') + "}"]
    wrong += [good.replace('"n"', f'"{nuid}"') + "}" for nuid in (">", "a.b", "*")]
    wrong += [good.replace(":1", ":-1") + "}", good + ',"digest":1}', good + ',"options":1}']
    wrong += [good + ',"headers":1}', good + ',"options":{"link":{}}}']
    async with bucket(nats_server) as store:
        subject = f"$O.{store.bucket}.M.YQ=="
        for text in wrong:
            await store._js.publish(subject, text.encode())
            with pytest.raises(BadObjectMeta):
                await store.get_info("a")
        for digest in ("", "MD5=abc", "SHA-256=", "SHA-256=!", "SHA-256=aaaa"):
            await store._js.publish(subject, f'{good},"digest":"{digest}"}}'.encode())
            with pytest.raises(BadObjectMeta, match="no SHA-256"):
                await store.get("a")
        assert [info.name for info in await store.list()] == ["a"]


# -- replacing, failing, and several at once


async def test_a_put_replaces_the_former_content(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as store:
        first = await store.put("a", os.urandom(MIB), ObjectMeta(description="first"))
        second = await store.put("a", b"second")
        assert first.nuid != second.nuid
        assert await chunks_in(store) == {subject_of(second): 1}
        got = await store.get("a")
        assert (got.data, got.info.description) == (b"second", None)
        assert (await store.status()).stream_info.state.messages == 2


async def failing(size: int) -> AsyncIterator[bytes]:
    for _ in range(size):
        yield bytes(CHUNK)
    raise ZeroDivisionError


@BUSES
@pytest.mark.parametrize("existed", [False, True])
async def test_a_put_that_fails_leaves_nothing(
    nats_server: NatsServer, kind: str, existed: bool
) -> None:
    async with bucket(nats_server, kind, max_bytes=4 * MIB) as store:
        if existed:
            await store.put("a", b"former")
        before = await chunks_in(store)

        async def hanging() -> AsyncIterator[bytes]:
            yield bytes(CHUNK)
            reached.set()
            await asyncio.get_running_loop().create_future()

        with pytest.raises(ZeroDivisionError):
            await store.put("a", failing(20))
        with pytest.raises(StoreFailed, match="maximum bytes exceeded"):
            await store.put("a", bytes(5 * MIB))
        reached = asyncio.Event()
        put = asyncio.create_task(store.put("a", hanging()))
        await reached.wait()
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        assert await chunks_in(store) == before
        if existed:
            assert (await store.get("a")).data == b"former"
        else:
            with pytest.raises(ObjectNotFound):
                await store.get("a")


async def test_puts_that_are_cancelled_leave_nothing_whenever(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as store:
        for number in range(300):
            put = asyncio.create_task(store.put(f"{number}", bytes(100_000)))
            for _ in range(1 + number % 12):
                await asyncio.sleep(0)
            put.cancel()
            await asyncio.wait([put])
        assert await chunks_in(store) == {subject_of(info): 1 for info in await store.list()}


async def test_a_rename_that_meets_a_put_or_another_rename(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as store:
        for number in range(10):
            await store.put("a", b"former")
            await asyncio.gather(
                store.update_meta("a", ObjectMeta(f"b{number}")),
                store.update_meta("a", ObjectMeta(f"c{number}")),
                store.put("a", b"new"),
                return_exceptions=True,
            )
            there = await store.list()
            for info in there:
                assert (await store.get(info.name)).data in {b"former", b"new"}
            assert await chunks_in(store) == {subject_of(info): 1 for info in there}


async def test_puts_of_one_name_at_once(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as store:
        contents = [os.urandom(300_000) for _ in range(8)]
        infos = await asyncio.gather(*(store.put("a", data) for data in contents))
        got = await store.get("a")
        assert got.data in contents
        assert got.info.nuid in {info.nuid for info in infos}
        assert await chunks_in(store) == {subject_of(got.info): 3}


@pytest.mark.usefixtures("quick_silence")
async def test_an_object_that_is_replaced_while_it_is_read(nats_server: NatsServer) -> None:
    class Replacing(ObjectStore):
        """Somebody is faster, between the look at the meta and the reading of the chunks."""

        times = 0

        async def open(
            self, name: str, show_deleted: bool | None = False
        ) -> object_reader.ObjectReader:
            info = await self.get_info(name)
            if self.times:
                self.times -= 1
                await self.put(name, b"%d" % self.times)
            return await object_reader.ObjectReader(self._js, info).open()

    async with bucket(nats_server) as store:
        await store.put("a", b"former")
        hurried = Replacing(store._js, store.bucket)
        hurried.times = 2
        assert (await hurried.get("a")).data == b"0"
        hurried.times = 3
        with pytest.raises(ObjectIncomplete):
            await hurried.get("a")
        hurried.times = 1
        with pytest.raises(ObjectIncomplete):
            await hurried.get("a", writeinto=io.BytesIO())


# -- the server goes and comes back


@BUSES
async def test_reading_outlives_the_server(own_nats_server: NatsServer, kind: str) -> None:
    async with bucket(own_nats_server, kind) as store:
        data = os.urandom(12 * MIB)
        await store.put("a", data)
        found: list[bytes] = []
        async with await store.open("a") as reader:
            async for chunk in reader:
                found.append(chunk)
                if len(found) in {1, 70}:
                    await restart(own_nats_server, store._js.bus)
        assert b"".join(found) == data
        getting = asyncio.create_task(store.get("a"))
        while not store._js.bus.stats.in_bytes > 13 * MIB:
            await asyncio.sleep(0)
        await restart(own_nats_server, store._js.bus)
        assert (await getting).data == data


@BUSES
async def test_putting_outlives_the_server(own_nats_server: NatsServer, kind: str) -> None:
    async with bucket(own_nats_server, kind) as store:
        pieces = [os.urandom(CHUNK) for _ in range(64)]

        async def source() -> AsyncIterator[bytes]:
            for number, piece in enumerate(pieces):
                yield piece
                if number in {3, 40}:
                    await restart(own_nats_server, store._js.bus)
                elif number == 50:
                    own_nats_server.kill()
                    asyncio.get_running_loop().call_later(0.2, own_nats_server.start)

        info = await store.put("a", source())
        assert (info.chunks, info.size) == (64, 64 * CHUNK)
        assert (await store.get("a")).data == b"".join(pieces)
        assert await chunks_in(store) == {subject_of(info): 64}


async def test_a_put_that_fails_without_a_server_leaves_nothing(
    own_nats_server: NatsServer,
) -> None:
    async with bucket(own_nats_server) as store:

        async def source() -> AsyncIterator[bytes]:
            for _ in range(5):
                yield bytes(CHUNK)
            own_nats_server.kill()
            await until(store._js.bus, Status.RECONNECTING)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await store.put("a", source())
        for call in (store.put("a", b""), store.delete("a"), store.get("a"), store.list()):
            with pytest.raises(NotConnected):
                await call
        own_nats_server.start()
        await until(store._js.bus, Status.CONNECTED)
        await store._js.bus.flush()
        assert await chunks_in(store) == {}


async def test_the_bus_is_closed_meanwhile(nats_server: NatsServer) -> None:
    async with jetstream(nats_server) as js:
        store = await js.create_object_store(unique())
        await store.put("a", os.urandom(12 * MIB))
        watcher = await store.watch()
        listing = watcher.__aiter__()
        assert [(await anext(listing)) is None, (await anext(listing)) is None] == [False, True]
        async with await store.open("a") as reader:
            async for _ in reader:
                break

            async def source() -> AsyncIterator[bytes]:
                yield bytes(CHUNK)
                await js.bus.close()
                yield bytes(CHUNK)

            with pytest.raises(ConnectionClosed):
                await store.put("b", source())
            with pytest.raises(ConnectionClosed):
                await reader.read()
        with pytest.raises(StopAsyncIteration):
            await anext(listing)
