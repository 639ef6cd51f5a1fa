"""Watching a key-value bucket: what is there, that this was all, and then what changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from agents_core.bus import DONE
from agents_core.errors import AgentsError, ConnectionClosed
from agents_core.nats.jetstream.consumer import ConsumerInfo
from agents_core.nats.jetstream.errors import FetchTimeout
from agents_core.nats.jetstream.kv_entry import Entry
from agents_core.nats.jetstream.msg import JSMsg
from agents_core.nats.jetstream.ordered import OrderedConsumer

if TYPE_CHECKING:
    from agents_core.nats.jetstream.context import JetStreamContext

QUIET_S = 0.2
"""Seconds without a message after which the server is asked whether the initial data has ended.

Needed when what it had promised has gone meanwhile, by its time to live or a purge."""


class KeyWatcher:
    """Entries as they come, with one None where the initial data ends. Made by `KeyValue.watch`.

        async with await kv.watchall() as watcher:
            async for entry in watcher:
                if entry is None:
                    print("that was all; from here on it is news")

    Nothing is lost or told twice over a lost connection. How much waits here for a slow reader is
    bounded as for every consumer; the rest waits in the bucket. It ends by `stop`, when the bus is
    closed, or with an error when the bucket is deleted.

    Args:
        js: the API.
        stream: the bucket's.
        read: makes an entry of a message.
        ignore_deletes: hand over values only, no markers of deletions.
    """

    def __init__(
        self,
        js: JetStreamContext,
        stream: str,
        read: Callable[[JSMsg], Entry],
        *,
        ignore_deletes: bool = False,
    ) -> None:
        self._js = js
        self._stream = stream
        self._read = read
        self._ignore_deletes = ignore_deletes
        self._messages: OrderedConsumer | None = None
        self._consumer = ""
        self._initial = True  # the end of the initial data was not told yet
        self._left = 0  # messages of it that were not taken yet, at least
        self._caught_up = False  # nothing was behind the message that was taken last

    async def open(self, filters: list[str], **options: Any) -> Self:
        """Make the consumer; the options are those of `js.ordered_consumer`."""
        self._messages = await self._js.ordered_consumer(
            self._stream, filters, created_cb=self._begin, **options
        )
        return self

    def _begin(self, info: ConsumerInfo) -> None:
        """A consumer was made, the first or one that goes on where the last one broke off.

        It knows for certain how many messages there are for it. Those that the last one delivered
        and that were not taken yet come first.
        """
        self._consumer = info.name
        self._left = info.num_pending
        if self._messages is not None:
            self._left += self._messages.pending_msgs

    # -- taking

    async def updates(self, timeout: float | None = 5.0) -> Entry | None:
        """The next entry, or None where the initial data ends.

        Raises:
            FetchTimeout: nothing came within `timeout` seconds; None waits as long as it takes.
            ConnectionClosed: it was stopped, or the bus was closed.
            AgentsError: what ended it.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._next()
        except TimeoutError:
            raise FetchTimeout(self._stream, timeout or 0.0) from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Entry | None:
        try:
            return await self._next()
        except ConnectionClosed:
            raise StopAsyncIteration from None

    async def _next(self) -> Entry | None:
        assert self._messages is not None
        while True:
            if self._initial and self._is_complete(self._messages):
                self._initial = False
                return None
            try:
                msg = await self._messages.next_msg(QUIET_S if self._initial else None)
            except FetchTimeout:
                await self._ask(self._messages)
                continue
            self._left -= 1
            self._caught_up = msg.metadata.num_pending == 0
            entry = self._read(msg)
            if entry.operation is None or not self._ignore_deletes:
                return entry

    # -- the end of the initial data

    def _is_complete(self, messages: OrderedConsumer) -> bool:
        """Whether all that was there has been taken.

        What a message says of those behind it is not enough: while others write, the server counts
        too low for a moment. So at least as many must have come as there were at the beginning.
        """
        return self._left <= 0 and (self._caught_up or messages.num_pending == 0)

    async def _ask(self, messages: OrderedConsumer) -> None:
        """Nothing comes: find out whether anything will.

        The answer comes behind what was delivered before it.
        """
        try:
            info = await self._js.consumer_info(self._stream, self._consumer)
        except AgentsError:
            return  # the consumer is about to be replaced, and its successor will tell
        if info.num_pending == 0 and not messages.pending_msgs:
            self._left, self._caught_up = 0, True

    # -- ending

    @property
    def ended(self) -> bool:
        """No more entries will come; some may still be pending."""
        return self._messages is not None and self._messages.ended

    def stop(self) -> Awaitable[None]:
        """End now; what was not taken is dropped. Never waits: `await` before it is allowed."""
        self._initial = False
        if self._messages is not None:
            self._messages.stop()
        return DONE

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
