"""Reading one object: its chunks in order, so many of them under way, checked at the end."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol, Self

from agents_core.errors import AgentsError
from agents_core.nats.jetstream.consumer import ConsumerInfo
from agents_core.nats.jetstream.errors import FetchTimeout, MessageNotFound
from agents_core.nats.jetstream.object_errors import (
    BadObjectMeta,
    DigestMismatch,
    ObjectIncomplete,
)
from agents_core.nats.jetstream.object_info import (
    ObjectInfo,
    chunks_subject,
    read_digest,
    stream_name,
    write_digest,
)

if TYPE_CHECKING:
    from agents_core.nats.jetstream.context import JetStreamContext
    from agents_core.nats.jetstream.ordered import OrderedConsumer

WINDOW_BYTES = 4 * 1024 * 1024
"""Bytes asked for and not yet taken; twice what one message may have if that is more."""

QUIET_S = 1.0
"""Seconds without a chunk after which a reader looks why."""


class Writer(Protocol):
    """What takes content; in its own time if `write` is a coroutine."""

    def write(self, data: bytes, /) -> object | Awaitable[object]:
        """Take a chunk."""
        ...


class ObjectReader:
    """The content of one object, chunk by chunk. Made by `ObjectStore.open`.

        async with await store.open("film") as film:
            async for chunk in film:
                ...

    A lost connection is waited for, and reading goes on behind the last chunk. What was read is
    what had been put if the iteration ends without an error, and not before.

    Args:
        js: what it is read with.
        info: the object.

    Attributes:
        info: the object; where a link led to another one, that one.
    """

    def __init__(self, js: JetStreamContext, info: ObjectInfo) -> None:
        self.info = info
        self._js = js
        self._stream = stream_name(info.bucket)
        self._subject = chunks_subject(info.bucket, info.nuid)
        self._expected = read_digest(info.digest)
        self._sha256 = sha256()
        self._size = self._chunks = 0
        self._last = 0  # the sequence of the last chunk
        self._consumer = ""
        self._messages: OrderedConsumer | None = None

    async def open(self) -> Self:
        """Ask for the first chunks.

        Raises:
            BadObjectMeta: it has no digest to be checked by, or nothing says where its chunks are.
            and what `JetStreamContext.ordered_consumer` raises.
        """
        if self._expected is None and not self.info.deleted:
            raise BadObjectMeta(self.info.bucket, f"no SHA-256 in digest {self.info.digest!r}")
        if self.info.chunks:
            if not self.info.nuid:
                raise BadObjectMeta(self.info.bucket, "it has chunks, but no nuid")
            self._messages = await self._js.ordered_consumer(
                self._stream,
                self._subject,
                max_bytes=max(WINDOW_BYTES, 2 * self._js.bus.max_payload),
                created_cb=self._created,
            )
        return self

    def _created(self, info: ConsumerInfo) -> None:
        self._consumer = info.name

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks that were not taken yet.

        Raises:
            DigestMismatch: what came is not what had been put.
            ObjectIncomplete: chunks are missing; the object may have been replaced or deleted.
            ConnectionClosed: the bus was closed, or the reader stopped.
            StreamNotFound: the bucket was deleted.
        """
        info = self.info
        while self._messages is not None and self._chunks < info.chunks:
            yield await self._next(self._messages)
        found = self._sha256.digest()
        if not info.deleted and (found != self._expected or self._size != info.size):
            raise DigestMismatch(info.bucket, info.name, info.digest or "", write_digest(found))

    async def _next(self, messages: OrderedConsumer) -> bytes:
        while True:
            try:
                msg = await messages.next_msg(QUIET_S)
                break
            except FetchTimeout:
                await self._look(messages)
        self._last = msg.metadata.sequence.stream
        self._chunks += 1
        self._size += len(msg.data)
        self._sha256.update(msg.data)
        if self._chunks == self.info.chunks:
            self.stop()
        return msg.data

    async def _look(self, messages: OrderedConsumer) -> None:
        """Nothing comes: find out whether there is anything.

        Chunks that were deleted before their turn would be waited for without end, as no status
        tells of them. First a question to the consumer: the answer comes behind what it has
        delivered, so a slow line is no silence.
        """
        try:
            await self._js.consumer_info(self._stream, self._consumer)
            if messages.pending_msgs:
                return
            await self._js.get_msg(self._stream, self._last + 1, self._subject, next=True)
        except MessageNotFound:
            bucket, name = self.info.bucket, self.info.name
            raise ObjectIncomplete(bucket, name, self.info.chunks, self._chunks) from None
        except AgentsError:
            return  # it is being replaced, or there is no connection
        if not messages.pending_msgs:
            messages.renew()

    async def read(self) -> bytes:
        """All of what was not taken yet; raises what iterating does."""
        return b"".join([chunk async for chunk in self])

    async def write_to(self, writer: Writer) -> None:
        """Hand all of it to a writer; raises what iterating does, and what writing does."""
        writer = getattr(writer, "buffer", writer)  # of a file that was opened as text
        async for chunk in self:
            written = writer.write(chunk)
            if inspect.isawaitable(written):
                await written

    def stop(self) -> None:
        """Read no more."""
        if self._messages is not None:
            self._messages.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()
