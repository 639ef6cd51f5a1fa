"""The object store (ADR-20): content of any size under any name; the names are nats-py's."""

from __future__ import annotations

import logging
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from agents_core.bus import Status
from agents_core.errors import NotConnected
from agents_core.ids import unique
from agents_core.nats.headers import encode_headers
from agents_core.nats.jetstream.bounds import whole
from agents_core.nats.jetstream.consumer import DeliverPolicy
from agents_core.nats.jetstream.errors import InvalidOption
from agents_core.nats.jetstream.msg import JSMsg
from agents_core.nats.jetstream.object_bucket import ObjectStoreStatus
from agents_core.nats.jetstream.object_directory import Directory
from agents_core.nats.jetstream.object_errors import (
    BadObjectMeta,
    LinkIsABucket,
    LinkNotAllowed,
    ObjectAlreadyExists,
    ObjectDeleted,
    ObjectIncomplete,
    ObjectNotFound,
)
from agents_core.nats.jetstream.object_info import (
    ObjectInfo,
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
    chunks_subject,
    meta_prefix,
    meta_subject,
    stream_name,
    write_digest,
)
from agents_core.nats.jetstream.object_reader import ObjectReader, Writer
from agents_core.nats.jetstream.object_source import Source, chunks_of
from agents_core.nats.jetstream.object_upload import Upload, finished
from agents_core.nats.jetstream.watch import Watcher

if TYPE_CHECKING:
    from agents_core.nats.jetstream.context import JetStreamContext

ObjectWatcher: TypeAlias = Watcher[ObjectInfo]
"""What `watch` returns."""

CHUNK_BYTES = 128 * 1024
"""Bytes in one chunk by default (ADR-20)."""

REPLACED_MAX = 3
"""Times that a whole `get` begins anew because the object was replaced while it was read."""

LINKS_MAX = 8
"""Links in a row; ADR-20 has no link to a link, but a client may write one, even in a circle."""

_log = logging.getLogger("agents_core.nats.jetstream")


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """What `get` returns; named as in nats-py.

    Attributes:
        info: the object.
        data: its content; empty where it was written somewhere.
    """

    info: ObjectInfo
    data: bytes = field(default=b"", repr=False)


class ObjectStore:
    """One bucket. Made by `js.object_store` or `js.create_object_store`.

        store = await js.create_object_store("films")
        await store.put("intro", b"...")
        (await store.get("intro")).data

    Content is checked by its SHA-256 when it is read. When several clients change one object at
    once, one follows the other: nothing is left half-way, and the last one stays.

    Every call may also raise what `API.request` raises, `NotConnected` among it, and
    `InvalidObjectName`.

    Attributes:
        bucket: its name.
    """

    def __init__(self, js: JetStreamContext, bucket: str) -> None:
        self.bucket = bucket
        self._js = js
        self._stream = stream_name(bucket)
        self._directory = Directory(js, bucket)

    def __repr__(self) -> str:
        return f"ObjectStore({self.bucket!r})"

    # -- putting

    async def put(
        self, name: str | None, data: Source = b"", meta: ObjectMeta | None = None
    ) -> ObjectInfo:
        """Store an object; the one that has the name is replaced.

        Chunks are sent while the next ones are read, at most 2 MiB at once. The former content
        stays until the new one is complete. A put that fails, or is cancelled, changes nothing, and
        what was sent of it is deleted; one that is cancelled at its very end may be done
        nevertheless, as a whole. Either takes as long as the server takes to answer, at most twice
        the context's `timeout`. A connection that is lost meanwhile is waited for.

        Args:
            name: any text; None for that of `meta`.
            data: bytes, text, an iterable of bytes, or anything with `read`. Iterables and readers
                may be async; others should be quick, as everything else waits for them.
            meta: more about it. `options.max_chunk_size` is 128 KiB by default, and never more
                than the server takes in one message.

        Returns:
            What is stored about it.

        Raises:
            InvalidOption: the data can't be put, a chunk can't have that size, or `meta` is none.
            InvalidHeader: a header of `meta` can't be one.
            LinkNotAllowed: `meta` describes a link; see `add_link`.
            StreamNotFound: there is no bucket any more.
            StreamSealed: the bucket takes nothing any more.
            ObjectIncomplete: somebody deleted chunks meanwhile, or one that was sent over a lost
                connection was stored after it had been sent again.
            StoreFailed: the bucket is full, or the server's disk failed.
            APIError: the server refuses it for another reason.
            RequestTimeout, NoStreamResponse: there were too many interruptions.
            and what reading the data raises.
        """
        info = self._wanted(name, meta or ObjectMeta())
        self._must_be_connected()
        with self._upload(info) as upload:
            try:
                async with aclosing(chunks_of(data, upload.chunk_size)) as chunks:
                    async for chunk in chunks:
                        await upload.send(chunk)
                found = await upload.complete()
                info.size, info.chunks = upload.size, upload.chunks
                info.digest = write_digest(upload.sha256)
                if found != info.chunks:
                    raise ObjectIncomplete(self.bucket, info.name, info.chunks, found)
            except BaseException:
                await upload.settle()
                await self._directory.purge_chunks(info)
                raise
        return await finished(self._directory.replace(info), self._js.timeout)

    def _wanted(self, name: str | None, meta: ObjectMeta) -> ObjectInfo:
        """An object that is to be, without content yet."""
        _check_meta(meta)
        name = name or meta.name or ""
        meta_subject(self.bucket, name)
        options = meta.options or ObjectMetaOptions()
        _check("options", options, ObjectMetaOptions)
        if options.link is not None:
            raise LinkNotAllowed(name, "use add_link, a link has no content")
        if options.max_chunk_size is not None:
            whole("max_chunk_size", options.max_chunk_size, 1)
        size = min(options.max_chunk_size or CHUNK_BYTES, self._js.bus.max_payload)
        info = ObjectInfo(
            name, self.bucket, unique(), options=replace(options, max_chunk_size=size)
        )
        return _described(info, meta)

    def _upload(self, info: ObjectInfo) -> Upload:
        assert info.options is not None
        assert info.options.max_chunk_size is not None
        subject = chunks_subject(self.bucket, info.nuid)
        return Upload(self._js, self._stream, subject, info.options.max_chunk_size)

    def _must_be_connected(self) -> None:
        """Fail fast: what is waited for is a connection that is lost under way."""
        if self._js.bus.status is not Status.CONNECTED:
            raise NotConnected(self._js.bus.url)

    # -- getting

    async def get(
        self, name: str, writeinto: Writer | None = None, show_deleted: bool | None = False
    ) -> ObjectResult:
        """Read an object as a whole; a link is followed.

        When the object is replaced meanwhile it is read anew, unless something was written already.

        Args:
            name: the object.
            writeinto: written to, chunk by chunk, instead of keeping the content; `write` may be a
                coroutine. What was written is right only if nothing is raised.
            show_deleted: take a deleted object as an empty one.

        Raises:
            ObjectNotFound: there is none. Its subclass `ObjectDeleted`: not any more.
            LinkIsABucket: it is a link to a bucket.
            DigestMismatch: what is stored is not what was put.
            ObjectIncomplete: chunks are missing.
            BadObjectMeta: what is stored about it is not what ADR-20 says.
            ConnectionClosed: the bus was closed; a lost connection is waited for.
            and what writing raises.
        """
        attempt = 0
        while True:
            attempt += 1
            async with await self.open(name, show_deleted) as reader:
                try:
                    if writeinto is None:
                        return ObjectResult(reader.info, await reader.read())
                    await reader.write_to(writeinto)
                    return ObjectResult(reader.info)
                except ObjectIncomplete:
                    if writeinto is not None or attempt == REPLACED_MAX:
                        raise
                    now = await self._target(name, show_deleted)
                    if now.nuid == reader.info.nuid:
                        raise

    async def open(self, name: str, show_deleted: bool | None = False) -> ObjectReader:
        """Read an object chunk by chunk, with at most a few MiB of it in memory.

            async with await store.open("film") as film:
                async for chunk in film:
                    ...

        Args:
            name: the object; a link is followed.
            show_deleted: take a deleted object as an empty one.

        Raises:
            as `get`, partly by the iteration.
        """
        return await ObjectReader(self._js, await self._target(name, show_deleted)).open()

    async def _target(self, name: str, show_deleted: bool | None) -> ObjectInfo:
        """The object itself, wherever links lead."""
        info = await self.get_info(name, show_deleted)
        for _ in range(LINKS_MAX + 1):
            if (link := info.link) is None or info.deleted:
                return info
            if not link.name:
                raise LinkIsABucket(info.bucket, info.name, link.bucket)
            info = await ObjectStore(self._js, link.bucket).get_info(link.name, show_deleted)
        raise BadObjectMeta(self.bucket, f"more than {LINKS_MAX} links from {name!r}")

    # -- about objects

    async def get_info(self, name: str, show_deleted: bool | None = False) -> ObjectInfo:
        """What is stored about an object; of a link, about the link itself.

        Args:
            name: the object.
            show_deleted: also what is left of a deleted one.

        Raises:
            ObjectNotFound: there is none. Its subclass `ObjectDeleted`: not any more.
            BadObjectMeta: what is stored is not what ADR-20 says.
        """
        stored = await self._directory.look(name)
        return self._existing(name, stored.info, show_deleted)

    def _existing(
        self, name: str, info: ObjectInfo | None, show_deleted: bool | None = False
    ) -> ObjectInfo:
        if info is None:
            raise ObjectNotFound(self.bucket, name)
        if info.deleted and not show_deleted:
            raise ObjectDeleted(self.bucket, name)
        return info

    async def update_meta(self, name: str, meta: ObjectMeta) -> ObjectInfo:
        """Change what is said about an object, and perhaps its name; the content stays as it is.

        Args:
            name: the object, or a link.
            meta: its name, description, headers and metadata replace the former ones; what is None
                is removed, but for the name, which then stays. Its options are not looked at.

        Returns:
            What is stored about it now.

        Raises:
            ObjectNotFound: there is none, or it was always replaced while it was renamed. Its
                subclass `ObjectDeleted`: not any more.
            ObjectAlreadyExists: there is one of the new name.
            InvalidHeader: a header can't be one.
            InvalidOption: `meta` is none, or says what is no text.
        """
        _check_meta(meta)
        target = meta.name or name
        meta_subject(self.bucket, target)
        self._must_be_connected()

        def make(stored: ObjectInfo | None) -> ObjectInfo:
            return _described(replace(self._existing(name, stored), name=target), meta)

        if target == name:
            return (await self._directory.change(name, make))[1]
        return await finished(self._directory.rename(name, make), self._js.timeout)

    async def delete(self, name: str) -> ObjectInfo:
        """Delete an object or a link. One that was deleted already is left as it is.

        Returns:
            What is left: that it was deleted.

        Raises:
            ObjectNotFound: there never was one.
        """
        self._must_be_connected()
        deleting = self._directory.delete(
            name, lambda stored: self._existing(name, stored, show_deleted=True)
        )
        return await finished(deleting, self._js.timeout)

    async def add_link(self, name: str, obj: ObjectInfo) -> ObjectInfo:
        """Give an object another name, in this bucket or from another one.

        Args:
            name: of the link; it may be that of a former link.
            obj: the object, as `get_info` or `put` returns it.

        Returns:
            What is stored about the link.

        Raises:
            LinkNotAllowed: the object is deleted, or a link itself.
            ObjectAlreadyExists: there is an object of that name.
            InvalidOption: it is no `ObjectInfo`, such as a name.
        """
        _check("obj", obj, ObjectInfo)
        if obj.deleted or obj.is_link():
            raise LinkNotAllowed(name, "a link leads to an object that is there, not to a link")
        return await self._add_link(name, ObjectLink(obj.bucket, obj.name))

    async def add_bucket_link(self, name: str, bucket: ObjectStore) -> ObjectInfo:
        """Give another bucket as a whole a name in this one.

        Raises:
            ObjectAlreadyExists: there is an object of that name.
            InvalidOption: it is no `ObjectStore`, such as a name.
        """
        _check("bucket", bucket, ObjectStore)
        return await self._add_link(name, ObjectLink(bucket.bucket))

    async def _add_link(self, name: str, link: ObjectLink) -> ObjectInfo:
        meta_subject(self.bucket, name)
        self._must_be_connected()
        info = ObjectInfo(name, self.bucket, unique(), options=ObjectMetaOptions(link))

        def place(stored: ObjectInfo | None) -> ObjectInfo:
            if stored is not None and not stored.deleted and not stored.is_link():
                raise ObjectAlreadyExists(self.bucket, name)
            return info

        return (await self._directory.change(name, place))[1]

    # -- the bucket

    async def watch(
        self,
        ignore_deletes: bool = False,
        include_history: bool = False,
        updates_only: bool = False,
    ) -> ObjectWatcher:
        """Be told what is stored about each object, and about every change.

            async with await store.watch() as watcher:
                async for info in watcher:
                    print(info or "that was what is there; now come the changes")

        Args:
            ignore_deletes: leave out what is left of deleted objects.
            include_history: everything that the bucket still holds about an object, and not only
                the last; most clients leave nothing else in it.
            updates_only: only changes from now on; None comes first.

        Raises:
            StreamNotFound: there is no bucket any more.
        """
        policy = DeliverPolicy.ALL if include_history else DeliverPolicy.LAST_PER_SUBJECT

        def read(msg: JSMsg) -> ObjectInfo | None:
            try:
                info = ObjectInfo.from_stored(self.bucket, msg.data, msg.metadata.timestamp_ns)
            except BadObjectMeta as error:
                _log.warning("%s: %s", msg.subject, error)  # one that is damaged, among many
                return None
            return None if info.deleted and ignore_deletes else info

        watcher = Watcher(self._js, self._stream, meta_prefix(self.bucket), [">"], read)
        return await watcher.open(deliver_policy=DeliverPolicy.NEW if updates_only else policy)

    async def list(self, ignore_deletes: bool = True) -> list[ObjectInfo]:
        """All objects and links, in the order of their last change.

        Args:
            ignore_deletes: without what is left of deleted ones (ADR-20; in nats-py they are there
                by default).

        Raises:
            StreamNotFound: there is no bucket any more.
            ConnectionClosed: the bus was closed; a lost connection is waited for.
        """
        found: dict[str, ObjectInfo] = {}
        async with await self.watch() as watcher:
            while (info := await watcher.updates(timeout=None)) is not None:
                found.pop(info.name, None)
                found[info.name] = info
        return [info for info in found.values() if not (info.deleted and ignore_deletes)]

    async def status(self) -> ObjectStoreStatus:
        """What the bucket is and holds.

        Raises:
            StreamNotFound: there is no bucket any more.
        """
        return ObjectStoreStatus(await self._js.stream_info(self._stream), self.bucket)

    async def seal(self) -> ObjectStoreStatus:
        """Allow no change in this bucket any more; this can't be undone.

        Raises:
            StreamNotFound: there is no bucket any more.
        """
        config = (await self._js.stream_info(self._stream)).config.evolve(sealed=True)
        return ObjectStoreStatus(await self._js.update_stream(config), self.bucket)


def _check(name: str, given: object, kind: type) -> None:
    if not isinstance(given, kind):
        raise InvalidOption(name, f"of the type {kind.__name__}, not {given!r}")


def _check_meta(meta: ObjectMeta) -> None:
    """Nothing but texts: other clients can't read the meta of an object that says anything else."""
    _check("meta", meta, ObjectMeta)
    _check("description", meta.description or "", str)
    _check("metadata", meta.metadata or {}, dict)
    for text in (word for pair in (meta.metadata or {}).items() for word in pair):
        _check("metadata", text, str)


def _described(info: ObjectInfo, meta: ObjectMeta) -> ObjectInfo:
    """The same object, but what a user says about it."""
    if meta.headers:
        encode_headers(meta.headers)  # checks them
    return replace(info, description=meta.description, headers=meta.headers, metadata=meta.metadata)
