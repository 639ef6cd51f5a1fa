"""Watching a bucket: what is there, that this was all, and then what changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from agents_core.bus import DONE
from agents_core.errors import AgentsError, ConnectionClosed
from agents_core.nats.jetstream.consumer import ConsumerInfo, DeliverPolicy
from agents_core.nats.jetstream.errors import FetchTimeout, MessageNotFound
from agents_core.nats.jetstream.initial import InitialData
from agents_core.nats.jetstream.msg import JSMsg
from agents_core.nats.jetstream.ordered import OrderedConsumer
from agents_core.timers import within

if TYPE_CHECKING:
    from agents_core.nats.jetstream.context import JetStreamContext

T = TypeVar("T")

QUIET_S = 0.2
"""Seconds without a message after which a watcher looks why, until the initial data has ended."""


class Watcher(Generic[T]):
    """Entries as they come, with one None where the initial data ends.

    Made by `KeyValue.watch` and `ObjectStore.watch`.

        async with await kv.watchall() as watcher:
            async for entry in watcher:
                if entry is None:
                    print("that was all; from here on it is news")

    Nothing is lost or told twice over a lost connection. If it is lost during the initial data,
    older values of a key may come before its newest one. How much waits here for a slow reader is
    bounded as for every consumer; the rest waits in the bucket. It ends by `stop`, when the bus is
    closed, or with an error when the bucket is deleted.

    Args:
        js: the API.
        stream: the bucket's.
        prefix: of its subjects.
        patterns: of what is behind the prefix.
        read: makes an entry of a message, or None to pass it over.
    """

    def __init__(
        self,
        js: JetStreamContext,
        stream: str,
        prefix: str,
        patterns: list[str],
        read: Callable[[JSMsg], T | None],
    ) -> None:
        self._js = js
        self._stream = stream
        self._prefix = prefix
        self._filters = [prefix + pattern for pattern in patterns]
        self._read = read
        self._consumer = ""
        self._initial: InitialData | None = None  # until its end was told
        self._messages: OrderedConsumer | None = None

    async def open(
        self, deliver_policy: DeliverPolicy, opt_start_seq: int | None = None, **options: Any
    ) -> Self:
        """Make the consumer; the options are those of `js.ordered_consumer`."""
        info = await self._js.stream_info(self._stream)
        last_match = await self._last_match() if (info.config.num_replicas or 1) > 1 else 0
        self._initial = InitialData(
            info.state.last_seq, deliver_policy, opt_start_seq or 1, last_match
        )
        self._messages = await self._js.ordered_consumer(
            self._stream,
            self._filters,
            deliver_policy=deliver_policy,
            opt_start_seq=opt_start_seq,
            created_cb=self._begin,
            **options,
        )
        return self

    def _begin(self, info: ConsumerInfo) -> None:
        """A consumer was made, the first or one that goes on where the last one broke off."""
        self._consumer = info.name
        if self._initial is not None:
            self._initial.begin(self.pending_msgs + info.num_pending)

    # -- taking

    async def updates(self, timeout: float | None = 5.0) -> T | None:
        """The next entry, or None where the initial data ends.

        Raises:
            FetchTimeout: nothing came within `timeout` seconds; None waits as long as it takes.
            SubscriptionEnded: it was stopped, or the bus was closed.
            AgentsError: what ended it.
        """
        try:
            async with within(timeout):
                return await self._next()
        except TimeoutError:
            raise FetchTimeout(self._consumer, timeout or 0.0) from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T | None:
        try:
            return await self._next()
        except ConnectionClosed:
            raise StopAsyncIteration from None

    async def _next(self) -> T | None:
        assert self._messages is not None
        while True:
            if self._initial is None:
                msg = await self._messages.next_msg()
            elif self._initial.is_complete:
                self._initial = None
                return None
            elif self._initial.must_compare:
                await self._compare(self._initial)
                continue
            else:
                try:
                    msg = await self._messages.next_msg(QUIET_S)
                except FetchTimeout:
                    await self._look(self._messages, self._initial)
                    continue
            if self._initial is not None:
                key = msg.subject.removeprefix(self._prefix)
                self._initial.take(key, msg.metadata.sequence.stream)
            if (entry := self._read(msg)) is not None:
                return entry

    # -- the end of the initial data

    async def _compare(self, initial: InitialData) -> None:
        """Tell it the keys that the bucket has now."""
        keys: set[str] = set()
        last_seq: int | None = None
        try:
            for pattern in self._filters:
                state = (await self._js.stream_info(self._stream, pattern)).state
                keys |= {subject.removeprefix(self._prefix) for subject in state.subjects or ()}
                last_seq = state.last_seq if last_seq is None else last_seq
        except AgentsError:
            initial.must_compare = False  # until the next message
        else:
            initial.compare(keys, last_seq or 0)

    async def _last_match(self) -> int:
        """The last message that matches, as the stream's leader knows it; 0 if there is none."""
        found = 0
        for pattern in self._filters:
            with suppress(MessageNotFound):
                found = max(found, (await self._js.get_last_msg(self._stream, pattern)).seq)
        return found

    async def _look(self, messages: OrderedConsumer, initial: InitialData) -> None:
        """Nothing comes, although something was promised: find out what is there.

        A message that has gone meanwhile is not replaced by the server, which waits behind it for
        its next heartbeat (seen with 2.15). A new consumer knows what there is. First a question to
        the old one: the answer comes behind what it has delivered, so a slow line is no silence.
        """
        if initial.is_complete:
            return
        try:
            await self._js.consumer_info(self._stream, self._consumer)
            if initial.lags:
                initial.look_again(await self._last_match())
        except AgentsError:
            return  # it is being replaced already
        if not messages.pending_msgs:
            messages.renew()

    # -- ending

    @property
    def pending_msgs(self) -> int:
        """Entries that arrived and were not yet taken."""
        return 0 if self._messages is None else self._messages.pending_msgs

    @property
    def ended(self) -> bool:
        """No more entries will come; some may still be pending."""
        return self._messages is not None and self._messages.ended

    def stop(self) -> Awaitable[None]:
        """End now; what was not taken is dropped. Never waits: `await` before it is allowed."""
        self._initial = None
        if self._messages is not None:
            self._messages.stop()
        return DONE

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()
