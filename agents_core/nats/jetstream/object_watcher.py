"""Watching a bucket: what is stored about its objects, and every change of it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from agents_core.errors import AgentsError, ConnectionClosed, RequestTimeout
from agents_core.nats.jetstream.consumer import ConsumerInfo, DeliverPolicy
from agents_core.nats.jetstream.msg import JSMsg
from agents_core.nats.jetstream.object_errors import BadObjectMeta
from agents_core.nats.jetstream.object_info import ObjectInfo, all_meta_subject, stream_name
from agents_core.nats.jetstream.object_silence import Silence

if TYPE_CHECKING:
    from agents_core.nats.jetstream.context import JetStreamContext
    from agents_core.nats.jetstream.ordered import OrderedConsumer

PENDING_MAX = 256
"""Entries kept for a slow reader, as in nats-py; the server keeps the others."""

_log = logging.getLogger("agents_core.nats.jetstream")


class ObjectWatcher:
    """What is stored about the objects of a bucket, as it changes. Made by `ObjectStore.watch`.

        async with await store.watch() as watcher:
            async for info in watcher:
                ...

    First comes what is there; then, once, None; then every change. A lost connection is waited for.
    Iterating ends when the watcher is stopped or the bus is closed.
    """

    def __init__(
        self,
        js: JetStreamContext,
        bucket: str,
        *,
        ignore_deletes: bool,
        include_history: bool,
        updates_only: bool,
    ) -> None:
        self._js, self._bucket = js, bucket
        self._stream = stream_name(bucket)
        self._ignore_deletes = ignore_deletes
        self._policy = DeliverPolicy.ALL if include_history else DeliverPolicy.LAST_PER_SUBJECT
        self._policy = DeliverPolicy.NEW if updates_only else self._policy
        self._initial = not updates_only  # what was there at the beginning is not complete yet
        self._left = 0  # messages until it may be
        self._rounds = 2
        self._silence = Silence(js, self._stream)
        self._entries: deque[ObjectInfo | None] = deque()
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._error: AgentsError | None = None
        self._ended = False
        self._messages: OrderedConsumer | None = None
        self._runner: asyncio.Task[None] | None = None
        self._guard: asyncio.Task[None] | None = None

    async def open(self) -> Self:
        """Make the consumer.

        Raises:
            StreamNotFound: there is no bucket any more.
        """
        self._messages = await self._js.ordered_consumer(
            self._stream,
            all_meta_subject(self._bucket),
            deliver_policy=self._policy,
            created_cb=self._created,
        )
        loop = asyncio.get_running_loop()
        self._runner = loop.create_task(self._run(self._messages))
        if self._initial:
            self._guard = loop.create_task(self._watch(self._messages))
        return self

    # -- arriving

    def _created(self, info: ConsumerInfo) -> None:
        self._silence.created(info)
        self._left = info.num_pending
        if not self._left:
            self._complete()

    async def _run(self, messages: OrderedConsumer) -> None:
        try:
            async for msg in messages:
                self._silence.taken += 1
                self._take(msg)
                while len(self._entries) >= PENDING_MAX:
                    self._room.clear()
                    await self._room.wait()
        except AgentsError as error:
            self._error = error
        self._end()

    def _take(self, msg: JSMsg) -> None:
        try:
            info = ObjectInfo.from_stored(self._bucket, msg.data, msg.metadata.timestamp_ns)
            if not (info.deleted and self._ignore_deletes):
                self._put(info)
        except BadObjectMeta as error:
            _log.warning("%s: %s", msg.subject, error)  # one that is damaged, among many
        if self._initial:
            self._count(msg.metadata.num_pending)

    def _count(self, pending: int) -> None:
        """See whether what was there at the beginning is complete.

        It is when nothing is pending; and, so that it ends although others go on writing, after
        as many messages as there were at first, and then as many as had been added by that time: an
        object that was changed before it was delivered comes among these.
        """
        self._left -= 1
        if self._left <= 0:
            self._rounds -= 1
            self._left = pending
        if not pending or not self._rounds:
            self._complete()

    def _complete(self) -> None:
        if self._initial:
            self._initial = False
            self._put(None)
        if self._guard is not None:
            self._guard.cancel()

    async def _watch(self, messages: OrderedConsumer) -> None:
        """What was there may have gone before it was delivered."""
        await self._silence.wait(messages)
        self._complete()

    def _put(self, entry: ObjectInfo | None) -> None:
        self._entries.append(entry)
        self._news.set()

    # -- reading

    async def updates(self, timeout: float | None = 5.0) -> ObjectInfo | None:
        """The next entry, or None, once, when what was there at the beginning is complete.

        Args:
            timeout: seconds to wait; None for as long as it takes.

        Raises:
            RequestTimeout: there was none in time.
            StreamNotFound: the bucket was deleted.
            ConnectionClosed: the watcher was stopped or the bus closed.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._more()
        except TimeoutError:
            raise RequestTimeout(all_meta_subject(self._bucket), timeout or 0.0) from None
        if not self._entries:
            raise ConnectionClosed(self._js.bus.url)
        return self._next()

    async def __aiter__(self) -> AsyncIterator[ObjectInfo | None]:
        """Entries until it ends; see `updates`.

        Raises:
            StreamNotFound: the bucket was deleted.
        """
        while True:
            await self._more()
            if not self._entries:
                return
            yield self._next()

    def _next(self) -> ObjectInfo | None:
        self._room.set()
        return self._entries.popleft()

    async def _more(self) -> None:
        """Return when there is an entry, or an end."""
        while not self._entries and not self._ended:
            self._news.clear()
            await self._news.wait()
        if not self._entries and self._error is not None:
            raise self._error

    # -- ending

    async def stop(self) -> None:
        """Watch no more; what was not read is dropped."""
        self._entries.clear()
        for task in (self._runner, self._guard):
            if task is not None:
                task.cancel()
        if self._messages is not None:
            self._messages.stop()
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._news.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()
