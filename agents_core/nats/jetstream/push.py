"""Reading from a push consumer: the server sends by itself to a subject that is subscribed to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Self

from agents_core.bus import PENDING_BYTES_LIMIT, Callback, Status, Subscription
from agents_core.errors import (
    AgentsError,
    ConnectionClosed,
    NotConnected,
    PermissionsViolation,
)
from agents_core.nats import backoff
from agents_core.nats.callbacks import (
    RAISED,
    Callbacks,
    awaited_failure,
    check_result,
    failure,
    is_async,
)
from agents_core.nats.jetstream.consume import PAUSE_S_MAX
from agents_core.nats.jetstream.consumer import AckPolicy, ConsumerConfig, ConsumerInfo
from agents_core.nats.jetstream.consumer_api import ConsumerAPI
from agents_core.nats.jetstream.delivery import JSCallback, log_error
from agents_core.nats.jetstream.errors import (
    ConsumerMismatch,
    FetchTimeout,
    NoHeartbeat,
    NotFound,
    NotJSMessage,
    SequenceGap,
)
from agents_core.nats.jetstream.header import Header
from agents_core.nats.jetstream.msg import JSMsg, Metadata
from agents_core.nats.jetstream.pull import judge
from agents_core.nats.msg import Msg
from agents_core.nats.options import NotifyError
from agents_core.timers import Timer, within

PUSH_MSGS_LIMIT = 512 * 1024
"""Messages a subscription keeps for a slow reader, as in nats-py: under flow control the server
sends up to 32 MiB ahead, some 300,000 of the smallest. Of bytes it keeps `PENDING_BYTES_LIMIT`."""

MISSED_MAX = 3
"""Heartbeats that may be missed before the silence is reported (ADR-15)."""

CONTROL = 100
"""The status of a heartbeat, and of a flow control request."""


class PushSubscription:
    """What a push consumer delivers. Made by `js.subscribe` and `js.subscribe_bind`.

    Iterate over it, ask for the `next_msg`, or give a callback. It goes on over a lost connection:
    what was under way is delivered again if it is to be acknowledged, and lost if it is not. It
    ends by `unsubscribe` or `drain`, when the bus is closed, or with an error when the consumer is
    found to be gone: by missed heartbeats, or on the next connection. The consumer itself stays;
    the server forgets one that is not durable when nobody has been subscribed for its
    `inactive_threshold`, so that late acknowledgements still count.

    What waits for a slow reader is bounded as for every subscription. With flow control the server
    waits for the reader instead.

    Args:
        js: the API.
        stream: what the consumer reads.
        consumer: who delivers.
        config: what it is: where it delivers, whether it is acknowledged, its heartbeat.
        cb: called with each message, instead of iterating.
        manual_ack: the callback acknowledges; else that is done when it has returned.
        error_cb: told of missed heartbeats, gaps and what `cb` raises. Logged by default.

    Attributes:
        stream, consumer: what is read.
        subject, queue: where it is delivered, and the group that shares it, or empty.
        delivered: messages handed over so far.

    Raises:
        Unsupported: the callback can't be called.
    """

    def __init__(
        self,
        js: ConsumerAPI,
        stream: str,
        consumer: str,
        config: ConsumerConfig,
        cb: JSCallback | None = None,
        manual_ack: bool = False,
        error_cb: NotifyError | None = None,
    ) -> None:
        self.stream, self.consumer = stream, consumer
        self.delivered = 0
        self._js, self._bus = js, js.bus
        self.subject, self.queue = config.deliver_subject or "", config.deliver_group or ""
        self._cb: Any = cb
        self._call: Callback | None = None
        if cb is not None:
            self._call = self._call_async if is_async(cb) else self._call_plain
        self._acks = not manual_ack and config.ack_policy in {AckPolicy.EXPLICIT, AckPolicy.ALL}
        self._error_cb, self._callbacks = error_cb, Callbacks()
        self._limit = 0  # of messages to hand over; 0 for none
        self._last = ""  # the reply subject of the last message that was handed over
        self._gap = 0  # the last one that was reported
        # Of a group only one member gets each heartbeat, so its silence proves nothing.
        self._heartbeat = 0.0 if self.queue else config.idle_heartbeat or 0.0
        self._received = 0  # at the last tick; whatever arrives is a sign of life
        self._missed = 0
        self._timer: Timer | None = None
        self._work: asyncio.Task[None] | None = None
        self._subscription: Subscription  # once it is open
        self._watching = False
        self._unlisten: Callable[[], object] = lambda: None

    async def open(
        self,
        pending_msgs_limit: int = PUSH_MSGS_LIMIT,
        pending_bytes_limit: int = PENDING_BYTES_LIMIT,
    ) -> Self:
        """Subscribe to what the consumer delivers to."""
        self._subscription = await self._bus.subscribe(
            self.subject,
            self.queue,
            cb=self._call,
            pending_msgs_limit=pending_msgs_limit,
            pending_bytes_limit=pending_bytes_limit,
        )
        self._watching = True
        self._unlisten = self._bus.on_status(self._on_status)
        if self._heartbeat:
            self._timer = self._js.timers.after(self._heartbeat, self._tick)
        return self

    # -- state

    @property
    def pending_msgs(self) -> int:
        """Messages that arrived and were not yet taken, the server's signs of life included."""
        return self._subscription.pending_msgs

    @property
    def pending_bytes(self) -> int:
        """Their size in bytes of payload and headers."""
        return self._subscription.pending_bytes

    @property
    def dropped(self) -> int:
        """Messages dropped because the reader was too slow."""
        return self._subscription.dropped

    @property
    def ended(self) -> bool:
        """No more messages will arrive; some may still be pending."""
        return self._subscription.ended

    async def consumer_info(self) -> ConsumerInfo:
        """What the consumer is, and how far it has come.

        Raises:
            ConsumerNotFound, StreamNotFound: there is none.
        """
        return await self._js.consumer_info(self.stream, self.consumer)

    # -- taking

    async def next_msg(self, timeout: float | None = 1.0) -> JSMsg:
        """The next message.

        Args:
            timeout: seconds to wait, None for as long as it takes.

        Raises:
            FetchTimeout: none came in time; also a `TimeoutError`.
            ConnectionClosed: it has ended, as was asked for.
            AgentsError: what ended it.
            Unsupported: a callback gets the messages.
        """
        while self.pending_msgs:
            if (msg := self._accept(await self._subscription.next_msg())) is not None:
                return msg
        try:
            async with within(timeout):
                while True:
                    if (msg := self._accept(await self._subscription.next_msg(None))) is not None:
                        return msg
        except TimeoutError:
            raise FetchTimeout(self.consumer, timeout or 0.0) from None

    def __aiter__(self) -> Self:
        """Messages until it ends; those pending are delivered first.

        Raises:
            AgentsError: what ended it, unless that was asked for.
            Unsupported: a callback gets the messages.
        """
        return self

    async def __anext__(self) -> JSMsg:
        async for msg in self._subscription:
            if (accepted := self._accept(msg)) is not None:
                return accepted
        raise StopAsyncIteration

    def _call_plain(self, msg: Msg) -> None:
        """Hand a message to a plain callback."""
        if (accepted := self._accept(msg)) is None:
            return
        try:
            check_result(self._cb(accepted))
            self._ack(accepted)
        except RAISED as error:  # it is delivered again
            self._report(failure(error))

    async def _call_async(self, msg: Msg) -> None:
        """Hand a message to an async callback."""
        if (accepted := self._accept(msg)) is None:
            return
        try:
            await self._cb(accepted)
            self._ack(accepted)
        except RAISED as error:  # as above
            self._report(awaited_failure(error))

    def _ack(self, msg: JSMsg) -> None:
        if self._acks and not msg.is_acked:
            msg.ack()

    def _accept(self, msg: Msg) -> JSMsg | None:
        """The message as it is handed over; None if the server speaks in it, or for one too many.

        Only here, and not when it arrives, so that a flow control request is answered when
        everything before it has been taken.
        """
        if msg.reply.startswith("$JS.ACK."):
            self._last = msg.reply
        elif code := msg.status:
            self._on_control(code, msg)
            return None
        if self.delivered == self._limit > 0:
            return None
        self.delivered += 1
        if self.delivered == self._limit:
            self._end()
        return JSMsg(msg)

    # -- what the server says about the consumer

    def _on_control(self, code: int, msg: Msg) -> None:
        if code != CONTROL:
            self._report(judge(code, msg.description)[1])
            self._look()
            return
        # A heartbeat names the request that the server waits for: the answer may have been lost.
        reply = msg.reply or msg.headers.get(Header.CONSUMER_STALLED, "")
        if reply:
            try:
                self._bus.publish(reply)
            except AgentsError as error:  # the next heartbeat asks again
                self._report(error)
        self._check_gap(msg.headers.get(Header.LAST_CONSUMER, ""))

    def _check_gap(self, last: str) -> None:
        """Compare the last message with the one that the server sent last, as a heartbeat says."""
        if self.queue or not self._last or not last.isdecimal():
            return
        try:
            seen, sent = Metadata(self._last).sequence.consumer, int(last)
        except (NotJSMessage, ValueError):  # of somebody else
            return
        if sent > seen and sent != self._gap:
            self._gap = sent
            self._report(SequenceGap(self.consumer, seen, sent + 1))

    def _tick(self) -> None:
        """Notice silence; a timer that fires late proves nothing by itself, three may."""
        if self.ended:  # by the server, which does not allow it
            self._close()
            return
        self._timer = self._js.timers.after(self._heartbeat, self._tick)
        received = self._subscription.received
        connected = self._bus.status is Status.CONNECTED
        self._missed = self._missed + 1 if connected and received == self._received else 0
        self._received = received
        if self._missed == MISSED_MAX:
            self._missed = 0
            self._report(NoHeartbeat(self.consumer, round(MISSED_MAX * self._heartbeat, 3)))
            self._look()

    def _on_status(self, status: Status) -> None:
        if status is Status.CLOSED or self.ended:
            self._close()
        elif status is Status.CONNECTED:
            self._look()

    def _look(self) -> None:
        """Find out whether the consumer is still there, unless that is being done already."""
        if self._watching and (self._work is None or self._work.done()):
            self._work = asyncio.get_running_loop().create_task(self._find())

    async def _find(self) -> None:
        attempt = 0
        while True:
            try:
                info = await self.consumer_info()
                break
            except (NotConnected, ConnectionClosed):
                return  # the next connection begins anew
            except NotFound as gone:
                self._end(gone)
                return
            except AgentsError as error:
                self._report(error)
                if isinstance(error, PermissionsViolation):
                    return  # who may not ask will not know, and is delivered to all the same
            attempt += 1
            await asyncio.sleep(backoff.delay(attempt, PAUSE_S_MAX, self._js.rng))
        if info.config.deliver_subject != self.subject:
            self._end(ConsumerMismatch(self.consumer, "it delivers to another subject now"))

    def _report(self, error: Exception) -> None:
        tell = self._error_cb or partial(log_error, self.stream, self.consumer)
        self._callbacks.call(tell, error)

    # -- ending

    def _close(self) -> None:
        """Watch no more."""
        self._watching = False
        self._unlisten()
        if self._timer is not None:
            self._timer.cancel()
        if self._work is not None and self._work is not asyncio.current_task():
            self._work.cancel()

    def _end(self, error: AgentsError | None = None) -> None:
        self._close()
        self._subscription.end(error)
        if error is not None and self._cb is not None:
            self._report(error)

    async def unsubscribe(self, limit: int = 0) -> None:
        """End now, or when `limit` messages have been handed over since it began.

        What has arrived before can still be taken.
        """
        if limit > self.delivered:
            self._limit = limit
        else:
            self._end()

    async def drain(self) -> None:
        """End, but deliver what was under way; return when a callback has had all of it.

        Raises:
            NotConnected: the connection is down; what has arrived is still delivered.
        """
        self._close()
        await self._subscription.drain()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end()
