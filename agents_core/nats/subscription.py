"""Interest in a subject.

Counts, bounds, and hands over what arrives. The same class serves every bus.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from operator import index, length_hint
from typing import Self, cast, get_args

from agents_core.bus import (
    PENDING_BYTES_LIMIT,
    PENDING_MSGS_LIMIT,
    Callback,
    PendingPolicy,
    Stats,
)
from agents_core.errors import (
    AgentsError,
    ConnectionClosed,
    MessageTimeout,
    SlowConsumer,
    SubscriptionEnded,
    Unsupported,
)
from agents_core.nats.callbacks import (
    RAISED,
    awaited_failure,
    check_result,
    failure,
    is_async,
    refuse_reading,
)
from agents_core.nats.msg import Msg
from agents_core.nats.waiters import Waiters
from agents_core.timers import within

FAIR_MSGS = 1000
"""Messages an iteration or an async callback takes in a row before everybody else gets a turn."""

STATUS_MSGS_MAX = 1000
"""Status messages kept beyond the bounds, as they are never dropped; a stream sends a few."""

STATUS_BYTES_MAX = 1024 * 1024
"""The same in bytes: anybody may publish what looks like one."""

POLICIES = get_args(PendingPolicy)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may wait for a slow reader, and what becomes of more; see `Bus.subscribe`.

    Raises:
        Unsupported: there is no such policy.
    """

    pending_msgs_limit: int = PENDING_MSGS_LIMIT
    pending_bytes_limit: int = PENDING_BYTES_LIMIT
    pending_policy: PendingPolicy = "drop_new"

    def __post_init__(self) -> None:
        if self.pending_policy not in POLICIES:
            wrong = f"the policy {self.pending_policy!r} for slow readers"
            instead = f"use one of {', '.join(POLICIES)}; who must not lose any pulls from a stream"
            raise Unsupported(wrong, instead)


class Subscription:
    """One subscription of one bus.

    Args:
        subject: what it subscribes to.
        queue: its queue group, or empty.
        cb: called with each message; without it, messages wait for `next_msg` or `async for`.
        max_msgs: ends by itself after so many messages; 0 or less for never.
        bounds: what is kept for a slow reader; what is dropped is counted.
        on_unsub: tells the bus to stop sending, at once (0) or after so many messages; what is
            under way still arrives.
        on_end: tells the bus to forget this subscription.
        flush: the bus's barrier, for `drain`.
        on_error: told about a slow consumer and about what a callback raises.
        stats: the bus's counters; dropped messages are counted there too.

    Raises:
        Unsupported: the callback can't be called.
    """

    def __init__(
        self,
        subject: str,
        queue: str,
        cb: Callback | None,
        max_msgs: int,
        bounds: Bounds,
        *,
        sid: bytes = b"",
        on_unsub: Callable[[Subscription, int], None],
        on_end: Callable[[Subscription], None],
        flush: Callable[[], Awaitable[None]],
        on_error: Callable[[Exception], None],
        stats: Stats,
    ) -> None:
        self.subject = subject
        self.queue = queue
        self.sid = sid
        self.max_msgs = max(0, index(max_msgs))  # of a part of one there would be no end
        self._arrived = 0  # of which `_rest` is about to be taken
        self._rest: Iterator[Msg] = iter(())
        self.registered = 0  # how many had been received when the server began to count
        self.dropped = 0
        self.error: AgentsError | None = None
        self._cb = cb
        inline = cb is not None and not is_async(cb)
        self._take_in = cast("Callable[[Msg], object]", cb) if inline else self._keep
        self._msgs_limit = _bound(bounds.pending_msgs_limit)
        self._bytes_limit = _bound(bounds.pending_bytes_limit)
        self._policy = bounds.pending_policy
        self._on_unsub, self._on_end = on_unsub, on_end
        self._flush, self._on_error, self._stats = flush, on_error, stats
        self._pending: deque[Msg] = deque()
        self._pending_bytes = 0
        self._waiters = Waiters()
        self._runner: asyncio.Task[None] | None = None
        self._slow = False
        self._ends = max_msgs > 0  # some day, or it has
        self._ended = False

    @property
    def pending_msgs(self) -> int:
        """Messages that arrived and were not yet taken."""
        return len(self._pending)

    @property
    def pending_bytes(self) -> int:
        """Their size in bytes of payload and headers."""
        return self._pending_bytes

    @property
    def ended(self) -> bool:
        """No more messages will arrive; some may still be pending."""
        return self._ended

    @property
    def received(self) -> int:
        """Messages so far; within a callback, that one is the last of them."""
        return self._arrived - length_hint(self._rest)

    @property
    def runner(self) -> asyncio.Task[None] | None:
        """What runs an async callback, also beyond the end; None while it has nothing to do."""
        return None if self._runner is None or self._runner.done() else self._runner

    def deliver(self, msgs: list[Msg]) -> None:
        """Take messages from the bus, in order."""
        if self._ended:
            return
        self._arrived += len(msgs)
        take_in, rest, result = self._take_in, iter(msgs), None
        self._rest = rest
        for msg in rest:
            try:
                result = take_in(msg)
            except RAISED as error:  # a user's callback must not take the connection with it
                self._on_error(failure(error))
            if self._ends:  # one look for both, as every message pays for it
                if self.received == self.max_msgs:
                    self.finish()  # the sender has ended it by itself
                if self._ended:
                    break
        if result is not None:  # of the last one: to look at each would cost them all
            try:
                check_result(result)
            except Unsupported as error:
                self._on_error(error)

    def _keep(self, msg: Msg) -> None:
        size = len(msg.data) + len(msg.raw_headers)
        full = len(self._pending) >= self._msgs_limit
        full = full or self._pending_bytes + size > self._bytes_limit
        if full and not self._make_room(msg, size):
            return
        self._pending.append(msg)
        self._pending_bytes += size
        if self._cb is None:
            if self._waiters:
                self._waiters.wake()
        elif self._runner is None or self._runner.done():
            self._runner = asyncio.get_running_loop().create_task(self._run())

    def _fits(self, size: int, more_msgs: int = 0, more_bytes: int = 0) -> bool:
        """Whether one more message of this size is within the bounds, or within them and some."""
        room = len(self._pending) < self._msgs_limit + more_msgs
        return room and self._pending_bytes + size <= self._bytes_limit + more_bytes

    def _make_room(self, msg: Msg, size: int) -> bool:
        """The bounds are reached: whether to keep this message all the same."""
        if _is_status(msg):
            return self._fits(size, STATUS_MSGS_MAX, STATUS_BYTES_MAX)
        if self._policy == "drop_old" and size <= self._bytes_limit:
            self._drop_oldest(size)
            if self._fits(size):
                return True
        self._drop()
        if self._policy == "error":
            self.end(SlowConsumer(self.subject, self.dropped))
        return False

    def _drop_oldest(self, size: int) -> None:
        """Drop what is no status from the front until there is room for `size` bytes."""
        index = 0
        while index < len(self._pending) and not self._fits(size):
            old = self._pending[index]
            if _is_status(old):
                index += 1
                continue
            del self._pending[index]
            self._pending_bytes -= len(old.data) + len(old.raw_headers)
            self._drop()

    def _drop(self) -> None:
        self.dropped += 1
        self._stats.dropped += 1
        if not self._slow:  # once per episode: an error per message would drown what it reports
            self._slow = True
            self._on_error(SlowConsumer(self.subject, self.dropped))

    def _take(self) -> Msg:
        msg = self._pending.popleft()
        self._pending_bytes -= len(msg.data) + len(msg.raw_headers)
        if self._slow:
            self._catch_up()
        return msg

    def _catch_up(self) -> None:
        """The episode is over when the reader has caught up with half of it."""
        half = len(self._pending) * 2 <= self._msgs_limit
        self._slow = not (half and self._pending_bytes * 2 <= self._bytes_limit)

    async def _run(self) -> None:
        """Call an async callback for each pending message, in order; ends when there is none."""
        self._runner = asyncio.current_task()  # which an eager task is before anybody holds it
        callback = cast("Callable[[Msg], Awaitable[object]]", self._cb)
        count = 0
        while self._pending:
            try:
                await callback(self._take())
            except RAISED as error:  # as in `deliver`
                self._on_error(awaited_failure(error))
            count += 1
            if count % FAIR_MSGS == 0:
                await asyncio.sleep(0)

    def __repr__(self) -> str:
        group = f", queue={self.queue!r}" if self.queue else ""
        return f"Subscription({self.subject!r}{group})"

    async def next_msg(self, timeout: float | None = 1.0) -> Msg:
        """The next message; several callers are served in turn.

        Args:
            timeout: seconds to wait, None for as long as it takes.

        Raises:
            MessageTimeout: none came in time.
            SubscriptionEnded: as was asked for, or the bus is closed.
            PermissionsViolation, SubscriptionRefused: the server refused the subscription.
            SlowConsumer: it ended by its policy `error`, and all that was kept is taken.
            Unsupported: a callback gets the messages.
        """
        refuse_reading(self._cb)
        if self._pending:
            return self._take()
        try:
            async with within(timeout):
                while not self._pending:
                    await self._wait()
        except TimeoutError:
            raise MessageTimeout(self.subject, timeout or 0.0) from None
        return self._take()

    def _wait(self) -> Awaitable[None]:
        if self._ended:
            raise self.error or SubscriptionEnded(subject=self.subject)
        return self._waiters.wait()

    def __aiter__(self) -> Self:
        """Messages until the subscription ends; those pending are delivered first.

        No generator: that would be over when somebody gives up waiting for the next one.

        Raises:
            Unsupported: a callback gets the messages.
        """
        refuse_reading(self._cb)
        return self

    async def __anext__(self) -> Msg:
        pending = self._pending
        if not len(pending) % FAIR_MSGS:  # once in so many, and when there is none
            await self._pause()
        msg = pending.popleft()  # as `_take`, which to call would take as long as to do it
        self._pending_bytes -= len(msg.data) + len(msg.raw_headers)
        if self._slow:
            self._catch_up()
        return msg

    async def _pause(self) -> None:
        """Give everybody a turn, and go on when there is a message."""
        if self._pending:
            await asyncio.sleep(0)
        while not self._pending:
            try:
                await self._wait()
            except ConnectionClosed:
                raise StopAsyncIteration from None

    async def unsubscribe(self, limit: int = 0) -> None:
        """End now, or when `limit` messages have arrived since the subscription began."""
        if self._ended:
            return
        if index(limit) > self.received:
            self.max_msgs = limit
            self._ends = True
            self._on_unsub(self, limit)
        else:
            self.end()

    async def drain(self) -> None:
        """End, but deliver what was under way; return when callbacks have handled all of it.

        Raises:
            NotConnected: the connection is down; what has arrived is still delivered.
        """
        await self.leave()
        await self.handled()

    async def leave(self) -> None:
        """The first half of `drain`, which raises the same: no more will arrive."""
        if not self._ended:
            self._on_unsub(self, 0)
            try:
                await self._flush()
            finally:
                self.finish()

    async def handled(self) -> None:
        """Return when an async callback has handled all that is pending; not within itself."""
        if self._runner is not None and self._runner is not asyncio.current_task():
            await asyncio.wait([self._runner])

    def end(self, error: AgentsError | None = None) -> None:
        """End now, without waiting; with an error if the bus refused it."""
        if not self._ended:
            self.error = error
            self._on_unsub(self, 0)
            self.finish()

    def finish(self) -> None:
        """Take no more messages; the sender knows already."""
        if self._ended:
            return
        self._ends = self._ended = True
        self._on_end(self)
        self._waiters.wake_all()

    def include(self, work: asyncio.Task[None]) -> None:
        """Wait for this as for an async callback, and cancel it as one, until it is done."""
        self._runner = work
        work.add_done_callback(self._excluded)

    def _excluded(self, _: object) -> None:
        self._runner = None

    def discard(self) -> None:
        """Drop what is pending: the bus is closed for good."""
        self._pending.clear()
        self._pending_bytes = 0

    def stop(self) -> None:
        """Cancel an async callback, also one that outlived its subscription."""
        if self._runner is not None and self._runner is not asyncio.current_task():
            self._runner.cancel()


def _bound(limit: int) -> int:
    """As in nats-py, 0 or less stands for none."""
    return limit if limit > 0 else sys.maxsize


def _is_status(msg: Msg) -> bool:
    """Whether a server speaks about a stream in it: a status line, and nothing else."""
    return bool(msg.status) and not msg.data
