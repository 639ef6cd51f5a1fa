"""Reading one object: its chunks in order, so many of them under way, checked at the end."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable
from hashlib import sha256
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from agents_core.bus import Status
from agents_core.errors import AgentsError, ConnectionClosed
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
from agents_core.nats.jetstream.object_silence import Silence

if TYPE_CHECKING:
    from agents_core.nats.jetstream.context import JetStreamContext
    from agents_core.nats.jetstream.ordered import OrderedConsumer

WINDOW_BYTES = 4 * 1024 * 1024
"""Bytes asked for and not yet taken; twice what one message may have if that is more."""


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
        self._expected = read_digest(info.digest)
        self._sha256 = sha256()
        self._size = 0
        self._silence = Silence(js, self._stream)
        self._messages: OrderedConsumer | None = None
        self._guard: asyncio.Task[None] | None = None

    async def open(self) -> Self:
        """Ask for the first chunks.

        Raises:
            BadObjectMeta: it has no digest to be checked by.
            and what `JetStreamContext.ordered_consumer` raises.
        """
        if self._expected is None and not self.info.deleted:
            raise BadObjectMeta(self.info.bucket, f"no SHA-256 in digest {self.info.digest!r}")
        if self.info.chunks:
            self._messages = await self._js.ordered_consumer(
                self._stream,
                chunks_subject(self.info.bucket, self.info.nuid),
                max_bytes=max(WINDOW_BYTES, 2 * self._js.bus.max_payload),
                created_cb=self._silence.created,
            )
            self._guard = asyncio.get_running_loop().create_task(self._watch(self._messages))
        return self

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks that were not taken yet.

        Raises:
            DigestMismatch: what came is not what had been put.
            ObjectIncomplete: chunks are missing; the object may have been replaced or deleted.
            ConnectionClosed: the bus was closed.
        """
        if self._messages is not None:
            try:
                async for msg in self._messages:
                    self._silence.taken += 1
                    self._size += len(msg.data)
                    self._sha256.update(msg.data)
                    if self._silence.taken == self.info.chunks:
                        self.stop()
                    yield msg.data
            except AgentsError:
                self.stop()
                raise
        self._check()

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

    def _check(self) -> None:
        """See whether everything was read, and is what had been put."""
        info, found = self.info, self._sha256.digest()
        if self._silence.taken != info.chunks:
            if self._js.bus.status is Status.CLOSED:
                raise ConnectionClosed(self._js.bus.url)
            raise ObjectIncomplete(info.bucket, info.name, info.chunks, self._silence.taken)
        if not info.deleted and (found != self._expected or self._size != info.size):
            raise DigestMismatch(info.bucket, info.name, info.digest or "", write_digest(found))

    async def _watch(self, messages: OrderedConsumer) -> None:
        """Give up when the rest of the chunks is not there any more."""
        await self._silence.wait(messages)
        messages.stop()

    def stop(self) -> None:
        """Read no more."""
        if self._messages is not None:
            self._messages.stop()
        if self._guard is not None:
            self._guard.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
