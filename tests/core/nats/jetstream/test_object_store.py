"""The object store on a stream in memory, in a tab as on CPython."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from agents_core import jsonvalue
from agents_core.bus import Status
from agents_core.errors import InvalidHeader, NotConnected, RequestTimeout
from agents_core.nats.jetstream import (
    ObjectInfo,
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
    ObjectStore,
    ObjectWatcher,
    object_directory,
    object_reader,
)
from agents_core.nats.jetstream.errors import FetchTimeout, InvalidOption
from agents_core.nats.jetstream.object_errors import (
    BadObjectMeta,
    LinkIsABucket,
    LinkNotAllowed,
    ObjectAlreadyExists,
    ObjectDeleted,
    ObjectIncomplete,
    ObjectNotFound,
)
from agents_core.nats.jetstream.object_info import meta_subject
from agents_core.nats.jetstream.object_store import CHUNK_BYTES, LINKS_MAX, REPLACED_MAX
from tests.core.nats.jetstream.fake import set_status, settle
from tests.core.nats.jetstream.fake_bucket import STREAM, Bucket, bucket

META = "$O.b.M.YQ=="
NEW = "$O.b.M.eQ=="
ALL_CHUNKS = "$O.b.C.>"
DATA = bytes(range(256)) * 2000


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_reader, "QUIET_S", 0.005)
    monkeypatch.setattr(object_directory, "PAUSE_S_MAX", 0.001)


async def test_there_and_back() -> None:
    async with bucket() as (store, stream):
        info = await store.put("a", DATA)
        assert (info.size, info.chunks, info.nuid) == (512_000, 4, (await store.get("a")).info.nuid)
        got = await store.get("a")
        assert (got.data, repr(store)) == (DATA, "ObjectStore('b')")
        assert len(repr(got)) < 1000
        assert [len(data) for data in stream.stored(ALL_CHUNKS)] == [CHUNK_BYTES] * 3 + [118_784]
        await store.put("a", b"small")
        assert (await store.get("a")).data == b"small"
        assert stream.stored(ALL_CHUNKS) == [b"small"]
        assert [info.name for info in await store.list()] == ["a"]


async def test_the_wire_format() -> None:
    async with bucket() as (store, stream):
        meta = ObjectMeta(description="d", headers={"K": "v"}, metadata={"m": "n"})
        info = await store.put("a", "text", meta)
        assert next(iter(stream.msgs.values())) == (f"$O.b.C.{info.nuid}", b"text")
        subject, data = list(stream.msgs.values())[1]
        assert subject == META
        assert jsonvalue.loads(data) == {
            "name": "a",
            "bucket": "b",
            "nuid": info.nuid,
            "size": 4,
            "chunks": 1,
            "digest": "SHA-256=mC2ePrmW9VnmM_TRlN7zdh2Qn1o7ZH0ahR_q1nwyydE=",
            "description": "d",
            "headers": {"K": ["v"]},
            "options": {"max_chunk_size": CHUNK_BYTES},
            "metadata": {"m": "n"},
        }
        assert len(info.nuid) == 22


async def test_a_chunk_has_a_size() -> None:
    async with bucket() as (store, _stream):
        limit = store._js.bus.max_payload
        info = await store.put(
            "a", DATA, ObjectMeta(options=ObjectMetaOptions(max_chunk_size=1000))
        )
        assert info.chunks == 512
        large = ObjectMeta(options=ObjectMetaOptions(max_chunk_size=10 * limit))
        info = await store.put("a", bytes(limit + 1), large)
        assert (info.chunks, info.options) == (2, ObjectMetaOptions(max_chunk_size=limit))
        assert large.options == ObjectMetaOptions(max_chunk_size=10 * limit)
        sizes: list[Any] = [0, -1, 1.5, "1000"]
        for size in sizes:
            with pytest.raises(InvalidOption):
                await store.put(
                    "a", b"", ObjectMeta(options=ObjectMetaOptions(max_chunk_size=size))
                )


@pytest.mark.parametrize(
    "wrong",
    [
        "about it",
        {"description": "d"},
        ObjectMeta(description=5),  # type: ignore[arg-type]
        ObjectMeta(metadata=["a"]),  # type: ignore[arg-type]
        ObjectMeta(metadata={"version": 1}),  # type: ignore[dict-item]
        ObjectMeta(metadata={1: "version"}),  # type: ignore[dict-item]
    ],
)
async def test_what_others_could_not_read_is_not_stored(wrong: Any) -> None:
    async with bucket() as (store, _):
        before = await store.put("a", b"x")
        for call in (store.put("a", b"y", wrong), store.update_meta("a", wrong)):
            with pytest.raises(InvalidOption, match=r"of the type \w+, not "):
                await call
        assert (await store.get_info("a")).nuid == before.nuid
        options: Any = {"max_chunk_size": 5}
        with pytest.raises(InvalidOption, match="options: of the type ObjectMetaOptions"):
            await store.put("a", b"y", ObjectMeta(options=options))


async def test_a_link_leads_to_no_name() -> None:
    async with bucket() as (store, _):
        name: Any = "a"
        for call in (store.add_link("b", name), store.add_bucket_link("b", name)):
            with pytest.raises(InvalidOption, match=r"of the type Object\w+, not 'a'"):
                await call


async def test_the_name_may_be_that_of_the_meta() -> None:
    async with bucket() as (store, _):
        assert (await store.put(None, b"", ObjectMeta("a"))).name == "a"
        assert (await store.put("b", b"", ObjectMeta("a"))).name == "b"
        with pytest.raises(LinkNotAllowed):
            await store.put("a", b"", ObjectMeta(options=ObjectMetaOptions(ObjectLink("b"))))
        with pytest.raises(InvalidHeader):
            await store.put("a", b"", ObjectMeta(headers={"": ""}))


# -- puts that fail


async def failing(error: BaseException) -> AsyncIterator[bytes]:
    yield DATA
    raise error


@pytest.mark.parametrize("error", [ZeroDivisionError(), asyncio.CancelledError()])
async def test_a_put_that_fails_leaves_nothing(error: BaseException) -> None:
    async with bucket() as (store, stream):
        former = await store.put("a", b"former")
        with pytest.raises(type(error)):
            await store.put("a", failing(error))
        assert stream.stored(ALL_CHUNKS) == [b"former"]
        assert (await store.get("a")).info.nuid == former.nuid


@pytest.mark.parametrize("number", [1, 2, 4])
async def test_a_put_that_is_cancelled_deletes_what_is_still_under_way(number: int) -> None:
    """The server answers the API at once, while what is published waits for its turn."""
    async with bucket() as (store, stream):
        stream.faults = lambda subject, times: "queued" if times >= number else None
        put = asyncio.create_task(store.put("a", DATA))
        while not stream.queued:
            await asyncio.sleep(0)
        put.cancel()
        await settle(stream.bus)
        stream.work()
        with pytest.raises(asyncio.CancelledError):
            await put
        assert stream.msgs == {}


async def test_a_put_that_is_cancelled_at_its_end_is_done() -> None:
    async with bucket() as (store, stream):
        await store.put("a", b"former")
        stream.faults = lambda subject, times: "queued" if subject == META else None
        put = asyncio.create_task(store.put("a", b"new"))
        while not stream.queued:
            await asyncio.sleep(0)
        put.cancel()
        await settle(stream.bus)
        stream.work()
        with pytest.raises(asyncio.CancelledError):
            await put
        assert (await store.get("a")).data == b"new"
        assert stream.stored(ALL_CHUNKS) == [b"new"]


async def test_the_answer_for_the_meta_never_comes() -> None:
    """Whether it was stored is looked up; if so, the put was one."""
    async with bucket(timeout=0.05) as (store, stream):
        stream.faults = lambda subject, times: "lost" if subject == META else None
        with pytest.raises(RequestTimeout):
            await store.put("a", b"x")
        assert stream.stored(ALL_CHUNKS) == []
        stream.faults = lambda subject, times: "silent" if subject == META else None
        await store.put("a", b"x")
        assert (await store.get("a")).data == b"x"


async def test_chunks_that_somebody_deletes_while_they_are_put() -> None:
    async with bucket(timeout=0.05) as (store, stream):

        def lose(subject: str, times: int) -> str | None:
            if times == 2:
                stream.remove([1])
                return "lost"
            return None

        stream.faults = lose
        with pytest.raises(ObjectIncomplete, match="3 of 4 chunks"):
            await store.put("a", DATA)
        assert stream.msgs == {}


async def test_nothing_is_begun_without_a_connection() -> None:
    async with bucket() as (store, _stream):
        info = await store.put("a", b"x")
        set_status(store._js, Status.RECONNECTING)
        for call in (
            store.put("a", b""),
            store.delete("a"),
            store.add_link("l", info),
            store.get("a"),
            store.update_meta("a", ObjectMeta()),
        ):
            with pytest.raises(NotConnected):
                await call
        set_status(store._js, Status.CONNECTED)


# -- gets


async def test_an_object_is_written_somewhere() -> None:
    async with bucket() as (store, stream):
        info = await store.put("a", DATA)
        file = io.BytesIO()
        got = await store.get("a", writeinto=file)
        assert (file.getvalue(), got.data, got.info.nuid) == (DATA, b"", info.nuid)
        stream.remove([2])
        with pytest.raises(ObjectIncomplete):
            await store.get("a", writeinto=file)


async def test_an_object_is_replaced_while_it_is_read() -> None:
    async with bucket() as (store, stream):
        await store.put("a", b"0")
        left = [1]
        opened = ObjectStore.open

        class Hurried(ObjectStore):
            async def open(self, name: str, show_deleted: bool | None = False) -> object:
                reader = await opened(self, name, show_deleted)
                if left[0]:
                    left[0] -= 1
                    reader.stop()  # what arrived already would be read
                    await self.put(name, b"%d" % left[0])
                    return await type(reader)(self._js, reader.info).open()
                return reader

        hurried = Hurried(store._js, "b")
        assert (await hurried.get("a")).data == b"0"
        left[0] = REPLACED_MAX - 1
        assert (await hurried.get("a")).data == b"0"
        left[0] = REPLACED_MAX
        with pytest.raises(ObjectIncomplete):
            await hurried.get("a")
        stream.remove([seq for seq, (name, _) in stream.msgs.items() if name != META])
        with pytest.raises(ObjectIncomplete):
            await store.get("a")


# -- about objects


async def test_an_object_is_deleted() -> None:
    async with bucket() as (store, stream):
        with pytest.raises(ObjectNotFound, match="bucket 'b' has no object 'a'"):
            await store.delete("a")
        await store.put("a", b"x", ObjectMeta(description="d"))
        left = await store.delete("a")
        assert (left.deleted, left.size, left.chunks, left.digest) == (True, 0, 0, None)
        assert stream.stored(ALL_CHUNKS) == []
        with pytest.raises(ObjectDeleted):
            await store.get("a")
        shown = await store.get("a", show_deleted=True)
        assert (shown.data, shown.info.description) == (b"", "d")
        assert (await store.delete("a")).deleted


async def test_a_delete_that_is_cancelled_leaves_nothing_half_way() -> None:
    async with bucket() as (store, stream):
        await store.put("a", DATA)
        stream.faults = lambda subject, times: "queued"
        deleting = asyncio.create_task(store.delete("a"))
        while not stream.queued:
            await asyncio.sleep(0)
        deleting.cancel()
        await settle(stream.bus)
        stream.work()
        with pytest.raises(asyncio.CancelledError):
            await deleting
        assert (await store.get_info("a", show_deleted=True)).deleted
        assert stream.stored(ALL_CHUNKS) == []


async def test_its_meta_is_changed() -> None:
    async with bucket() as (store, stream):
        put = await store.put("a", b"x", ObjectMeta(description="d", metadata={"k": "v"}))
        changed = await store.update_meta("a", ObjectMeta(headers={"K": "v"}))
        assert (changed.description, changed.metadata, changed.nuid) == (None, None, put.nuid)
        await store.update_meta("a", ObjectMeta("new"))
        assert (await store.get("new")).data == b"x"
        assert stream.stored(META) == []
        await store.put("a", b"y")
        with pytest.raises(ObjectAlreadyExists):
            await store.update_meta("new", ObjectMeta("a"))
        await store.delete("a")
        await store.update_meta("new", ObjectMeta("a"))
        assert (await store.get("a")).data == b"x"
        await store.delete("a")
        for name in ("a", "b"):
            for target in ("a", "b", "c"):
                with pytest.raises(ObjectNotFound):
                    await store.update_meta(name, ObjectMeta(target))


async def renamed_while(
    store: ObjectStore,
    stream: Bucket,
    work: Callable[[asyncio.Task[ObjectInfo]], Awaitable[object]],
) -> asyncio.Task[ObjectInfo]:
    """Rename a to y, and do something while the new name is being stored."""
    stream.faults = lambda subject, times: "queued" if subject == NEW and times == 1 else None
    renaming = asyncio.create_task(store.update_meta("a", ObjectMeta("y")))
    while not stream.queued:
        await asyncio.sleep(0)
    await work(renaming)
    stream.work()
    await asyncio.wait([renaming])
    return renaming


async def test_an_object_is_replaced_while_it_is_renamed() -> None:
    async with bucket() as (store, stream):
        await store.put("a", b"x")
        renaming = await renamed_while(store, stream, lambda _: store.put("a", b"new"))
        assert renaming.result().name == "y"
        assert (await store.get("y")).data == b"new"
        assert [info.name for info in await store.list(ignore_deletes=False)] == ["y"]
        assert stream.stored(ALL_CHUNKS) == [b"new"]


async def test_an_object_is_deleted_while_it_is_renamed() -> None:
    async with bucket() as (store, stream):
        await store.put("a", b"x")
        renaming = await renamed_while(store, stream, lambda _: store.delete("a"))
        with pytest.raises(ObjectDeleted):
            renaming.result()
        assert [info.name for info in await store.list(ignore_deletes=False)] == ["a"]
        assert stream.stored(ALL_CHUNKS) == []


async def test_an_object_is_renamed_twice_at_once() -> None:
    async with bucket() as (store, stream):
        await store.put("a", b"x")
        other = ObjectMeta("z")
        renaming = await renamed_while(store, stream, lambda _: store.update_meta("a", other))
        with pytest.raises(ObjectNotFound):
            renaming.result()
        assert [info.name for info in await store.list(ignore_deletes=False)] == ["z"]
        assert (await store.get("z")).data == b"x"


async def test_a_rename_that_is_cancelled_leaves_nothing_half_way() -> None:
    async with bucket() as (store, stream):
        await store.put("a", b"x")

        async def cancel(renaming: asyncio.Task[ObjectInfo]) -> None:
            renaming.cancel()
            await settle(stream.bus)

        renaming = await renamed_while(store, stream, cancel)
        assert renaming.cancelled()
        assert [info.name for info in await store.list(ignore_deletes=False)] == ["y"]
        assert (await store.get("y")).data == b"x"


async def test_links() -> None:
    async with bucket() as (store, _stream):
        info = await store.put("a", b"x")
        link = await store.add_link("l", info)
        assert (link.link, len(link.nuid)) == (ObjectLink("b", "a"), 22)
        assert (await store.get("l")).data == b"x"
        for wrong in (link, await store.delete("a")):
            with pytest.raises(LinkNotAllowed):
                await store.add_link("m", wrong)
        await store.put("a", b"y")
        with pytest.raises(ObjectAlreadyExists):
            await store.add_bucket_link("a", store)
        await store.add_bucket_link("l", store)
        with pytest.raises(LinkIsABucket):
            await store.get("l")
        await store.delete("l")
        left = await store.get("l", show_deleted=True)
        assert (left.data, left.info.name) == (b"", "l")
        await store.add_link("l", await store.get_info("a"))
        assert (await store.get("l")).data == b"y"


async def test_a_chain_of_links() -> None:
    async with bucket() as (store, stream):
        await store.put("0", b"x")
        for number in range(LINKS_MAX + 1):
            target = {"options": {"link": {"bucket": "b", "name": str(number)}}}
            data = jsonvalue.dumps({"name": str(number + 1), **target})
            stream.add(meta_subject("b", str(number + 1)), data)
        assert (await store.get(str(LINKS_MAX))).data == b"x"
        with pytest.raises(BadObjectMeta, match=f"more than {LINKS_MAX} links"):
            await store.get(str(LINKS_MAX + 1))


# -- the bucket


async def test_the_bucket() -> None:
    async with bucket() as (store, stream):
        await store.put("a", b"x")
        status = await store.status()
        assert (status.bucket, status.stream_info.state.messages) == ("b", 2)
        assert (await store.seal()).sealed
        assert f"STREAM.UPDATE.{STREAM}" in stream.operations


# -- watching


def add(stream: Bucket, *names: str, deleted: bool = False) -> None:
    for name in names:
        info = ObjectInfo(name, "b", "n", deleted=deleted)
        subject = meta_subject("b", name)
        stream.add(subject, jsonvalue.dumps(info.as_dict()), {"Nats-Rollup": "sub"})


async def names(watcher: ObjectWatcher, count: int) -> list[str | None]:
    return [info.name if (info := await watcher.updates()) else None for _ in range(count)]


async def test_what_is_there_and_then_the_changes() -> None:
    async with bucket() as (store, stream):
        add(stream, "a", "b", "a")
        async with await store.watch() as watcher:
            assert await names(watcher, 3) == ["b", "a", None]
            add(stream, "c")
            info = await watcher.updates()
            assert info is not None
            assert (info.name, info.bucket) == ("c", "b")
            assert info.mtime is not None
            with pytest.raises(FetchTimeout):
                await watcher.updates(0.001)


async def test_only_the_changes() -> None:
    async with bucket() as (store, stream):
        add(stream, "a")
        async with await store.watch(updates_only=True) as watcher:
            add(stream, "b")
            assert await names(watcher, 2) == [None, "b"]


async def test_all_that_the_bucket_holds() -> None:
    async with bucket() as (store, stream):
        add(stream, "a", "b")
        info = ObjectInfo("a", "b", "n")  # as nats.js changes a meta: the former one stays
        stream.add(meta_subject("b", "a"), jsonvalue.dumps(info.as_dict()))
        async with await store.watch(include_history=True) as watcher:
            assert await names(watcher, 4) == ["a", "b", "a", None]
        async with await store.watch() as watcher:
            assert await names(watcher, 3) == ["b", "a", None]


async def test_deletes_can_be_left_out() -> None:
    async with bucket() as (store, stream):
        add(stream, "a", "b")
        add(stream, "a", deleted=True)
        async with await store.watch(ignore_deletes=True) as watcher:
            assert await names(watcher, 2) == ["b", None]
        assert [info.name for info in await store.list()] == ["b"]
        assert [info.name for info in await store.list(ignore_deletes=False)] == ["b", "a"]


async def test_an_object_that_is_changed_while_all_are_listed() -> None:
    async with bucket() as (store, stream):
        add(stream, "a", "b")
        deliver, stream._deliver = stream._deliver, lambda consumer: None
        listing = asyncio.create_task(store.list(ignore_deletes=False))
        while not stream.consumers:
            await asyncio.sleep(0)
        stream._deliver = deliver
        add(stream, "b", deleted=True)
        found = await listing
        assert [(info.name, info.deleted) for info in found] == [("a", False), ("b", True)]


async def test_meta_that_is_damaged(caplog: pytest.LogCaptureFixture) -> None:
    async with bucket() as (store, stream):
        add(stream, "a")
        stream.add("$O.b.M.x", b"damaged")
        with caplog.at_level(logging.WARNING):
            assert [info.name for info in await store.list()] == ["a"]
        assert "$O.b.M.x: an object's meta in bucket 'b'" in caplog.text
