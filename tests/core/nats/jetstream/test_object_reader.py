"""Reading an object: chunk by chunk, checked, with what is missing or damaged as a named error."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace

import pytest

from agents_core.bus import Status
from agents_core.errors import ConnectionClosed
from agents_core.nats.jetstream import ObjectInfo, ObjectReader, ObjectStore, object_reader
from agents_core.nats.jetstream.errors import StreamNotFound
from agents_core.nats.jetstream.object_errors import (
    BadObjectMeta,
    DigestMismatch,
    ObjectIncomplete,
)
from agents_core.nats.jetstream.object_info import ObjectMeta, ObjectMetaOptions, write_digest
from tests.core.nats.jetstream.fake import set_status, settle
from tests.core.nats.jetstream.fake_bucket import BUSY, NO_CONSUMER, NO_STREAM, Bucket, bucket

CHUNKS = [b"one ", b"two ", b"thre", b"e"]
WHOLE = b"".join(CHUNKS)
SMALL = ObjectMeta(options=ObjectMetaOptions(max_chunk_size=4))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_reader, "QUIET_S", 0.005)


async def put(store: ObjectStore, stream: Bucket) -> tuple[ObjectInfo, str]:
    info = await store.put("a", WHOLE, SMALL)
    return info, f"$O.b.C.{info.nuid}"


async def test_chunk_by_chunk() -> None:
    async with bucket() as (store, stream):
        info, _ = await put(store, stream)
        async with await store.open("a") as reader:
            assert reader.info.as_dict() == info.as_dict()
            async for chunk in reader:
                assert chunk == CHUNKS[0]
                break
            assert [chunk async for chunk in reader] == CHUNKS[1:]  # it goes on
            assert await reader.read() == b""
        await settle(stream.bus)
        assert stream.consumers == {}


async def test_without_the_context_it_ends_by_itself() -> None:
    async with bucket() as (store, stream):
        info, _ = await put(store, stream)
        reader = await ObjectReader(store._js, info).open()
        assert await reader.read() == WHOLE
        await settle(stream.bus)
        assert stream.consumers == {}


async def test_it_is_written_somewhere() -> None:
    class Slow:
        data = b""

        async def write(self, data: bytes) -> None:
            await asyncio.sleep(0)
            self.data += data

    async with bucket() as (store, stream):
        await put(store, stream)
        quick, slow, text = io.BytesIO(), Slow(), io.TextIOWrapper(io.BytesIO())
        for writer in (quick, slow, text):
            async with await store.open("a") as reader:
                await reader.write_to(writer)
        assert (quick.getvalue(), slow.data, text.buffer.getvalue()) == (WHOLE, WHOLE, WHOLE)


async def test_chunks_are_missing() -> None:
    async with bucket() as (store, stream):
        await put(store, stream)
        stream.remove([2])
        async with await store.open("a") as reader:
            with pytest.raises(ObjectIncomplete) as missing:
                await reader.read()
        assert (missing.value.bucket, missing.value.name) == ("b", "a")
        assert (missing.value.chunks, missing.value.found) == (4, 3)


async def test_chunks_go_while_they_are_read() -> None:
    async with bucket() as (store, stream):
        info, _ = await put(store, stream)
        stream._deliver = lambda consumer: None
        async with await ObjectReader(store._js, info).open() as reader:
            stream.remove([1, 2, 3, 4])
            with pytest.raises(ObjectIncomplete, match="0 of 4 chunks"):
                await reader.read()


async def test_chunks_that_are_there_and_do_not_come_are_asked_for_anew() -> None:
    async with bucket() as (store, stream):
        info, _ = await put(store, stream)
        deliver, stream._deliver = stream._deliver, lambda consumer: None
        async with await ObjectReader(store._js, info).open() as reader:
            reading = asyncio.create_task(reader.read())
            while len(stream.consumers) != 1 or reader._consumer.endswith("_1"):
                await asyncio.sleep(0)
            stream._deliver = deliver
            for consumer in stream.consumers.values():
                deliver(consumer)
            assert await reading == WHOLE


async def test_a_slow_line_is_no_silence() -> None:
    """What was delivered comes before the answer to the question for it."""
    async with bucket() as (store, stream):
        info, _ = await put(store, stream)
        deliver, stream._deliver = stream._deliver, lambda consumer: None

        def answer(operation: str, body: object) -> None:
            if operation.startswith("CONSUMER.INFO"):
                for consumer in stream.consumers.values():
                    deliver(consumer)

        stream.answers = answer
        async with await ObjectReader(store._js, info).open() as reader:
            assert await reader.read() == WHOLE
            assert reader._consumer.endswith("_1")


@pytest.mark.parametrize("when", ["CONSUMER.INFO", "STREAM.MSG.GET"])
async def test_nobody_can_tell_for_a_while_what_is_there(when: str) -> None:
    async with bucket() as (store, stream):
        info, _ = await put(store, stream)
        stream._deliver = lambda consumer: None
        said = iter([NO_CONSUMER, BUSY])
        stream.answers = lambda operation, body: (
            next(said, None) if operation.startswith(when) else None
        )
        async with await ObjectReader(store._js, info).open() as reader:
            stream.remove([1, 2, 3, 4])
            with pytest.raises(ObjectIncomplete):
                await reader.read()
        assert next(said, None) is None


async def test_they_come_while_it_is_looked_for_them() -> None:
    async with bucket() as (store, stream):
        info, _ = await put(store, stream)
        deliver, stream._deliver = stream._deliver, lambda consumer: None

        def answer(operation: str, body: object) -> None:
            if operation.startswith("STREAM.MSG.GET"):
                for consumer in stream.consumers.values():
                    deliver(consumer)

        stream.answers = answer
        async with await ObjectReader(store._js, info).open() as reader:
            assert await reader.read() == WHOLE
            assert reader._consumer.endswith("_1")


async def test_content_is_damaged() -> None:
    async with bucket() as (store, stream):
        info, subject = await put(store, stream)
        stream.msgs[2] = subject, b"TWO "
        async with await store.open("a") as reader:
            with pytest.raises(DigestMismatch) as damaged:
                await reader.read()
        assert damaged.value.expected == info.digest != damaged.value.found
        stream.msgs[2] = subject, CHUNKS[1]
        longer = replace(info, size=info.size + 1)
        with pytest.raises(DigestMismatch):
            await (await ObjectReader(store._js, longer).open()).read()


async def test_the_digest_has_to_be_one() -> None:
    async with bucket() as (store, _):
        for digest in (None, "", "MD5=abc", "SHA-256=abc"):
            info = ObjectInfo("a", "b", "n", digest=digest)
            with pytest.raises(BadObjectMeta, match="no SHA-256"):
                await ObjectReader(store._js, info).open()
        homeless = ObjectInfo("a", "b", "", 1, chunks=1, digest=write_digest(bytes(32)))
        with pytest.raises(BadObjectMeta, match="no nuid"):
            await ObjectReader(store._js, homeless).open()
        deleted = ObjectInfo("a", "b", "n", deleted=True)
        assert await (await ObjectReader(store._js, deleted).open()).read() == b""


async def test_an_empty_object_is_checked_too() -> None:
    async with bucket() as (store, stream):
        await store.put("a")
        assert (await store.get("a")).data == b""
        assert not any(operation.startswith("CONSUMER") for operation in stream.operations)
        info = replace(await store.get_info("a"), digest="SHA-256=" + "A" * 43 + "=")
        with pytest.raises(DigestMismatch):
            await (await ObjectReader(store._js, info).open()).read()


async def test_what_ends_it() -> None:
    async with bucket() as (store, stream):
        info, _ = await put(store, stream)
        stream._deliver = lambda consumer: None
        async with await ObjectReader(store._js, info).open() as reader:
            stream.answers = lambda operation, body: NO_STREAM
            set_status(store._js, Status.RECONNECTING)
            set_status(store._js, Status.CONNECTED)
            with pytest.raises(StreamNotFound):
                await reader.read()
        stream.answers = lambda operation, body: None
        async with await ObjectReader(store._js, info).open() as reader:
            reader.stop()
            with pytest.raises(ConnectionClosed):
                await reader.read()
        async with await ObjectReader(store._js, info).open() as reader:
            await store._js.bus.close()
            with pytest.raises(ConnectionClosed):
                await reader.read()
