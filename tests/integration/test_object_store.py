"""The object store against a real nats-server, over every bus."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agents_core.errors import ConnectionClosed, InvalidHeader
from agents_core.ids import unique
from agents_core.nats.jetstream import (
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
    ObjectStoreConfig,
    StorageType,
    object_reader,
)
from agents_core.nats.jetstream.errors import (
    BucketNotFound,
    InvalidBucketName,
    InvalidOption,
    StoreFailed,
    StreamNameInUse,
    StreamNotFound,
    StreamSealed,
)
from agents_core.nats.jetstream.object_errors import (
    BadObjectMeta,
    InvalidObjectName,
    LinkIsABucket,
    LinkNotAllowed,
    ObjectAlreadyExists,
    ObjectDeleted,
    ObjectNotFound,
)
from agents_server.nats_server import NatsServer
from tests.integration.objects import CHUNK, MIB, bucket, chunks_in, subject_of
from tests.integration.streams import BUSES, jetstream

pytestmark = pytest.mark.nats

# -- buckets


@BUSES
async def test_a_bucket_from_its_making_to_its_end(nats_server: NatsServer, kind: str) -> None:
    name = unique()
    async with jetstream(nats_server, kind) as js:
        store = await js.create_object_store(
            name,
            description="films",
            ttl=3600.5,
            max_bytes=10 * MIB,
            storage=StorageType.MEMORY,
            metadata={"owner": "test"},
            compression=True,
        )
        assert (store.bucket, repr(store)) == (name, f"ObjectStore({name!r})")
        status = await store.status()
        assert (status.bucket, status.description, status.ttl) == (name, "films", 3600.5)
        assert (status.storage_type, status.replicas, status.size) == (StorageType.MEMORY, 1, 0)
        assert (status.sealed, status.is_compressed) == (False, True)
        assert status.metadata["owner"] == "test"
        assert status.backing_store == "JetStream"
        config = status.stream_info.config
        assert (config.name, config.max_bytes) == (f"OBJ_{name}", 10 * MIB)
        assert config.subjects == [f"$O.{name}.C.>", f"$O.{name}.M.>"]
        assert (config.discard, config.allow_direct, config.allow_rollup_hdrs) == (
            "new",
            True,
            True,
        )
        with pytest.raises(StreamNameInUse):
            await js.create_object_store(name)
        assert (await js.object_store(name)).bucket == name
        assert await js.delete_object_store(name)
        for gone in (js.object_store(name), js.delete_object_store(name)):
            with pytest.raises(BucketNotFound, match="no bucket"):
                await gone
        for gone in (
            store.put("x", b"x"),
            store.get("x"),
            store.list(),
            store.status(),
            store.seal(),
        ):
            with pytest.raises(StreamNotFound):
                await gone


async def test_a_bucket_that_exists_is_as_good(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as store:
        config = ObjectStoreConfig(bucket=store.bucket)
        again = await store._js.create_object_store(config=config)
        await store.put("a", b"1")
        assert (await again.get("a")).data == b"1"
        assert config == ObjectStoreConfig(bucket=store.bucket)
        for wrong in ("", "a.b", "a b", "ü", "x" * 252, None):
            with pytest.raises(InvalidBucketName):
                await store._js.create_object_store(wrong)
            with pytest.raises(InvalidBucketName):
                await store._js.object_store(wrong)


async def test_a_sealed_bucket_does_not_change(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as store:
        info = await store.put("a", b"1")
        assert (await store.seal()).sealed
        assert (await store.status()).sealed
        for change in (
            store.put("a", b"2"),
            store.put("b", b""),
            store.delete("a"),
            store.update_meta("a", ObjectMeta("b")),
            store.add_link("l", info),
        ):
            with pytest.raises(StreamSealed):
                await change
        assert (await store.get("a")).data == b"1"
        assert [info.name for info in await store.list()] == ["a"]


# -- content


@BUSES
@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * MIB + 3])
async def test_content_of_any_size(nats_server: NatsServer, kind: str, size: int) -> None:
    async with bucket(nats_server, kind) as store:
        data = os.urandom(size)
        put = await store.put("a", data)
        assert (put.size, put.chunks) == (size, -(-size // CHUNK))
        got = await store.get("a")
        assert got.data == data
        assert got.info.as_dict() == put.as_dict()
        assert got.info.mtime is not None
        assert put.mtime is not None
        assert abs(datetime.now(UTC) - got.info.mtime) < timedelta(minutes=1)
        assert abs(put.mtime - got.info.mtime) < timedelta(minutes=1)
        assert await chunks_in(store) == ({subject_of(put): put.chunks} if size else {})
        async with await store.open("a") as reader:
            assert [len(chunk) for chunk in [chunk async for chunk in reader][:-1]] == (
                [CHUNK] * (put.chunks - 1 if put.chunks else 0)
            )
            assert await reader.read() == b""


@pytest.mark.parametrize("name", ["a b/c.txt", "ü✓🙂", ">", "*", ".", "x" * 1024, " "])
async def test_any_name(nats_server: NatsServer, name: str) -> None:
    async with bucket(nats_server) as store:
        await store.put(name, b"data")
        assert (await store.get(name)).data == b"data"
        assert [info.name for info in await store.list()] == [name]


async def test_what_can_not_be_put(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as store:
        for name in ("", None, "x" * 1025, "\ud800"):
            with pytest.raises(InvalidObjectName):
                await store.put(name, b"")
        for data in (3, None, [b"good", 3], ["text"], io.StringIO("text")):
            with pytest.raises(InvalidOption):
                await store.put("a", data)
        with pytest.raises(InvalidOption):
            await store.put("a", b"", ObjectMeta(options=ObjectMetaOptions(max_chunk_size=0)))
        with pytest.raises(LinkNotAllowed):
            await store.put("a", b"", ObjectMeta(options=ObjectMetaOptions(ObjectLink("b"))))
        with pytest.raises(InvalidHeader):
            await store.put("a", b"", ObjectMeta(headers={"a": "b\r\nc"}))
        assert (await store.status()).stream_info.state.messages == 0


async def asynchronously(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


class AsyncReader:
    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    async def read(self, size: int) -> bytes:
        await asyncio.sleep(0)
        return self._data.read(min(size, 1000))


class Filling:
    """Iterates over one buffer that is filled again and again."""

    def __iter__(self) -> Iterator[memoryview]:
        buffer = bytearray(10)
        for number in range(20):
            buffer[:] = bytes([number]) * 10
            yield memoryview(buffer)


PIECES = [os.urandom(size) for size in (1, 0, 70_000, 0, 300_000, 5)]
WHOLE = b"".join(PIECES)
SOURCES: dict[str, tuple[Callable[[Path], object], bytes]] = {
    "bytes": (lambda _: WHOLE, WHOLE),
    "bytearray": (lambda _: bytearray(WHOLE), WHOLE),
    "memoryview": (lambda _: memoryview(WHOLE)[3:], WHOLE[3:]),
    "text": (lambda _: "grün", "grün".encode()),
    "list": (lambda _: PIECES, WHOLE),
    "generator": (lambda _: (piece for piece in PIECES), WHOLE),
    "async generator": (lambda _: asynchronously(PIECES), WHOLE),
    "BytesIO": (lambda _: io.BytesIO(WHOLE), WHOLE),
    "async reader": (lambda _: AsyncReader(WHOLE), WHOLE),
    "file": (lambda path: path.open("rb"), WHOLE),
    "text file": (lambda path: path.open("r"), WHOLE),
    "a buffer filled again": (
        lambda _: Filling(),
        b"".join(bytes([number]) * 10 for number in range(20)),
    ),
}


@pytest.mark.parametrize("what", SOURCES)
async def test_sources(nats_server: NatsServer, what: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(WHOLE)
    make, expected = SOURCES[what]
    source = make(path)
    meta = ObjectMeta(options=ObjectMetaOptions(max_chunk_size=1000))
    async with bucket(nats_server) as store:
        info = await store.put("a", source, meta)
        assert (await store.get("a")).data == expected
        assert (info.size, info.chunks) == (len(expected), -(-len(expected) // 1000))
    if isinstance(source, io.IOBase):
        source.close()


async def test_chunks_are_never_larger_than_the_server_takes(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, extra="max_payload: 50000")
    server.start()
    try:
        async with bucket(server) as store:
            data = os.urandom(300_000)
            info = await store.put("a", data)
            assert (info.options, info.chunks) == (ObjectMetaOptions(max_chunk_size=50_000), 6)
            large = ObjectMeta(options=ObjectMetaOptions(max_chunk_size=60_000))
            assert (await store.put("b", data, large)).chunks == 6
            small = ObjectMeta(options=ObjectMetaOptions(max_chunk_size=40_000))
            assert (await store.put("c", data, small)).chunks == 8
            for name in "abc":
                assert (await store.get(name)).data == data
    finally:
        server.kill()


async def test_what_is_written_somewhere(nats_server: NatsServer, tmp_path: Path) -> None:
    class Writer:
        def __init__(self) -> None:
            self.data = b""

        async def write(self, data: bytes) -> None:
            await asyncio.sleep(0)
            self.data += data

    async with bucket(nats_server) as store:
        await store.put("a", WHOLE)
        asynchronous, path = Writer(), tmp_path / "file"
        assert (await store.get("a", writeinto=asynchronous)).data == b""
        assert asynchronous.data == WHOLE
        with path.open("wb") as file:
            assert (await store.get("a", file)).info.size == len(WHOLE)
        assert path.read_bytes() == WHOLE
        with path.open("w") as text:
            await store.get("a", text)
        assert path.read_bytes() == WHOLE


async def test_a_slow_reader_has_a_bounded_number_of_chunks_under_way(
    nats_server: NatsServer,
) -> None:
    async with bucket(nats_server) as store:
        data = os.urandom(16 * MIB)
        await store.put("a", data)
        bus = store._js.bus
        async with await store.open("a") as reader:
            received = bus.stats.in_bytes
            found = [await anext(aiter(reader))]
            for _ in range(100):
                await bus.flush()
            assert bus.stats.in_bytes - received <= object_reader.WINDOW_BYTES + 2 * CHUNK
            async for chunk in reader:  # goes on where the first iteration was left
                found.append(chunk)
        assert b"".join(found) == data


async def test_a_reader_that_stops_early_leaves_nothing(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as store:
        await store.put("a", os.urandom(MIB))
        async with await store.open("a") as reader:
            async for _ in reader:
                break
        while await store._js.consumer_names(store._stream):
            await asyncio.sleep(0)
        with pytest.raises(ConnectionClosed):
            await reader.read()


# -- what is said about it


@BUSES
async def test_meta_is_kept_and_changed(nats_server: NatsServer, kind: str) -> None:
    meta = ObjectMeta(
        description="grün",
        headers={"One": "1", "Two": ["a", "b"]},
        metadata={"k": "v"},
        options=ObjectMetaOptions(max_chunk_size=10),
    )
    async with bucket(nats_server, kind) as store:
        put = await store.put("a", b"x" * 25, meta)
        info = await store.get_info("a")
        assert (info.name, info.bucket, info.size, info.chunks) == ("a", store.bucket, 25, 3)
        assert (info.description, info.metadata) == ("grün", {"k": "v"})
        assert info.headers is not None
        assert (info.headers["One"], info.headers.get_all("Two")) == ("1", ["a", "b"])
        assert info.options == ObjectMetaOptions(max_chunk_size=10)
        assert not info.is_link()
        assert (meta.name, info.meta.description) == (None, "grün")  # what was given is not changed
        changed = await store.update_meta("a", ObjectMeta(description="blue", headers={"N": "1"}))
        info = await store.get_info("a")
        assert changed.as_dict() == info.as_dict()
        assert (info.description, info.metadata, dict(info.headers)) == ("blue", None, {"N": "1"})
        assert (info.nuid, info.digest, info.options) == (put.nuid, put.digest, put.options)
        with pytest.raises(InvalidHeader):
            await store.update_meta("a", ObjectMeta(headers={"a b": ""}))
        with pytest.raises(ObjectNotFound):
            await store.update_meta("b", ObjectMeta())


async def test_an_object_gets_another_name(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as store:
        await store.put("a", b"1")
        await store.put("b", b"2")
        with pytest.raises(ObjectAlreadyExists, match="has an object 'b' already"):
            await store.update_meta("a", ObjectMeta("b"))
        with pytest.raises(InvalidObjectName):
            await store.update_meta("a", ObjectMeta("x" * 1025))
        await store.delete("b")
        await store.update_meta("a", ObjectMeta("b", description="d"))
        assert (await store.get("b")).data == b"1"
        with pytest.raises(ObjectNotFound):
            await store.get_info("a", show_deleted=True)
        with pytest.raises(ObjectNotFound):
            await store.update_meta("a", ObjectMeta("c"))
        assert [(i.name, i.description) for i in await store.list()] == [("b", "d")]


async def test_an_object_is_deleted(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as store:
        with pytest.raises(ObjectNotFound):
            await store.delete("a")
        await store.put("a", b"1", ObjectMeta(description="d"))
        left = await store.delete("a")
        assert (left.deleted, left.size, left.chunks, left.digest) == (True, 0, 0, None)
        assert await chunks_in(store) == {}
        for call in (store.get("a"), store.get_info("a"), store.update_meta("a", ObjectMeta())):
            with pytest.raises(ObjectDeleted, match="was deleted"):
                await call
        shown = await store.get("a", show_deleted=True)
        assert (shown.data, shown.info.deleted, shown.info.description) == (b"", True, "d")
        assert (await store.delete("a")).deleted
        assert [info.name for info in await store.list()] == []
        assert [info.name for info in await store.list(ignore_deletes=False)] == ["a"]
        await store.put("a", b"2")
        assert (await store.get("a")).data == b"2"


async def test_an_object_is_deleted_from_a_full_bucket(nats_server: NatsServer) -> None:
    async with bucket(nats_server, max_bytes=20_000) as store:
        names = []
        with pytest.raises(StoreFailed):
            while True:
                await store.put(name := f"o{len(names)}", b"small")
                names.append(name)
        async with await store.watch(updates_only=True) as watcher:
            assert await watcher.updates() is None
            left = await store.delete("o0")
            assert (left.name, left.deleted, left.size, left.chunks) == ("o0", True, 0, 0)
            told = await watcher.updates()
            assert told is not None
            assert (told.name, told.deleted) == ("o0", True)
        with pytest.raises(ObjectDeleted):
            await store.get("o0")
        assert [info.name for info in await store.list()] == names[1:]
        assert len(await chunks_in(store)) == len(names) - 1


async def test_links(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as store, bucket(nats_server) as other:
        await store.put("a", b"1")
        info = await other.put("o", b"2")
        link = await store.add_link("l", info)
        assert link.link == ObjectLink(other.bucket, "o")
        assert link.is_link()
        got = await store.get("l")
        assert (got.data, got.info.bucket, got.info.name) == (b"2", other.bucket, "o")
        assert (await store.get_info("l")).link == ObjectLink(other.bucket, "o")
        for wrong in (link, await other.delete("o")):
            with pytest.raises(LinkNotAllowed):
                await store.add_link("m", wrong)
        with pytest.raises(ObjectDeleted):
            await store.get("l")
        await other.put("o", b"3")
        await store.delete("l")
        left = await store.get("l", show_deleted=True)
        assert (left.data, left.info.name, left.info.deleted) == (b"", "l", True)
        for add in (
            store.add_link("a", await store.get_info("a")),
            store.add_bucket_link("a", other),
        ):
            with pytest.raises(ObjectAlreadyExists):
                await add
        await store.add_bucket_link("l", other)  # a link may be replaced by another one
        with pytest.raises(LinkIsABucket) as raised:
            await store.get("l")
        assert raised.value.target == other.bucket
        await store.update_meta("l", ObjectMeta("m", description="d"))
        assert (await store.get_info("m")).link == ObjectLink(other.bucket)
        await store.delete("m")
        await store.add_link("m", await store.get_info("a"))  # and so may what was deleted
        assert (await store.get("m")).data == b"1"
        assert [info.name for info in await store.list()] == ["a", "m"]


async def test_links_in_a_circle(nats_server: NatsServer) -> None:
    async with bucket(nats_server) as store:
        text = '{"name":"a","bucket":"%s","options":{"link":{"bucket":"%s","name":"a"}}}'
        await store._js.publish(
            f"$O.{store.bucket}.M.YQ==", (text % (store.bucket, store.bucket)).encode()
        )
        with pytest.raises(BadObjectMeta, match="more than 8 links"):
            await store.get("a")
        await store.add_bucket_link("a", store)
        text = text.replace('"%s","name":"a"', '"%s.x","name":"a"')
        await store._js.publish(
            f"$O.{store.bucket}.M.YQ==", (text % (store.bucket, store.bucket)).encode()
        )
        with pytest.raises(InvalidBucketName):
            await store.get("a")
