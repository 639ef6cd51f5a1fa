"""Reading from a pull consumer: by fetching, or by consuming. Named as in nats-py."""

from __future__ import annotations

from typing import Unpack

from agents_core.errors import SubscriptionEnded
from agents_core.nats.jetstream.bounds import whole
from agents_core.nats.jetstream.consume import Consume
from agents_core.nats.jetstream.consumer import ConsumerInfo
from agents_core.nats.jetstream.consumer_api import ConsumerAPI
from agents_core.nats.jetstream.delivery import JSCallback
from agents_core.nats.jetstream.errors import InvalidOption
from agents_core.nats.jetstream.fetch import EXPIRES_S_MAX, HEARTBEAT_S, Fetcher, Want
from agents_core.nats.jetstream.flow import EXPIRES_S, Flow
from agents_core.nats.jetstream.msg import JSMsg
from agents_core.nats.jetstream.pull import MANY_MESSAGES, Pins, PriorityOptions, PullOptions
from agents_core.nats.options import NotifyError
from agents_core.timers import check_seconds

FETCHERS_MAX = 64
"""Reply subjects kept for later fetches; so many fetches at once are as fast as one."""


class PullSubscription:
    """A pull consumer to read from. Made by `js.pull_subscribe`.

    Any number of fetches and consumptions may go on at once; the server deals messages out to them.

    Attributes:
        stream, consumer: what is read.
    """

    def __init__(self, js: ConsumerAPI, stream: str, consumer: str) -> None:
        self.stream = stream
        self.consumer = consumer
        self._js = js
        self._pins = Pins()
        self._idle: list[Fetcher] = []
        self._busy: set[Fetcher] = set()
        self._closed = False

    async def consumer_info(self) -> ConsumerInfo:
        """What the consumer is, and how far it has come.

        Raises:
            ConsumerNotFound, StreamNotFound: there is none.
        """
        return await self._js.consumer_info(self.stream, self.consumer)

    async def fetch(
        self,
        batch: int = 1,
        timeout: float | None = 5,
        heartbeat: float | None = None,
        *,
        no_wait: bool = False,
        **priority: Unpack[PriorityOptions],
    ) -> list[JSMsg]:
        """Messages that are there; if there are none, wait for the first.

        As nats-py does, it returns as soon as it has any, and not only when it has `batch` of them.
        But it waits to the end of `timeout` where there are more of them that the consumer may not
        deliver, as `max_ack_pending` are not acknowledged: of that the server says nothing.

        Args:
            batch: at most so many.
            timeout: seconds to wait for the first; None for as long as it takes.
            heartbeat: seconds between the server's signs of life while it has no message; asked
                for where two of them fit into one request, which lives a little less than
                `timeout`, and than 30. By default 10 if `timeout` is more than 30, else none.
            no_wait: do not wait: return an empty list if there are none. So it does if the consumer
                has `max_ack_pending` not acknowledged, of which the server says nothing: that takes
                a second, and what is delivered later is there for the next fetch.
            **priority: see `PriorityOptions`.

        Raises:
            FetchTimeout: none came in time; also a `TimeoutError`.
            NoHeartbeat: the server has fallen silent.
            InvalidOption: an argument can't be.
            ValueError: what is to be a number of seconds is none.
            ConsumerNotFound, ConsumerDeleted, ConsumerIsPush: it can't be fetched from.
            BadRequest: the server does not take these arguments.
            PullRefused: the consumer is configured to give less than that.
            PermissionsViolation: this user may not ask, or not hear the answer.
            SubscriptionEnded: by `unsubscribe`, or the bus was closed.
            NotConnected: with `no_wait`, if there is no connection. Else a lost connection is
                waited for, and messages are asked for again.
        """
        options = PullOptions(**priority)
        return await self._fetch(batch, 0, timeout, heartbeat, no_wait, options)

    async def fetch_bytes(
        self,
        max_bytes: int,
        timeout: float | None = 5,
        heartbeat: float | None = None,
        *,
        no_wait: bool = False,
        **priority: Unpack[PriorityOptions],
    ) -> list[JSMsg]:
        """As `fetch`, bounded by bytes: of subject, reply subject, headers and payload.

        Not of a consumer with `max_batch`: this asks for 1,000,000 messages.

        Raises:
            MaxBytesExceeded: the next message alone is larger.
            and what `fetch` raises.
        """
        whole("max_bytes", max_bytes, 1)
        options = PullOptions(**priority)
        return await self._fetch(MANY_MESSAGES, max_bytes, timeout, heartbeat, no_wait, options)

    async def _fetch(
        self,
        batch: int,
        max_bytes: int,
        timeout: float | None,
        heartbeat: float | None,
        no_wait: bool,
        options: PullOptions,
    ) -> list[JSMsg]:
        whole("batch", batch, 1)
        if timeout is not None:
            check_seconds(timeout, "timeout")
            if timeout <= 0:
                raise InvalidOption("timeout", "more than 0")
        if heartbeat is not None:
            check_seconds(heartbeat, "heartbeat")
            if heartbeat < 0:
                raise InvalidOption("heartbeat", "at least 0")
        if no_wait:
            heartbeat = 0.0
        elif heartbeat is None:
            heartbeat = HEARTBEAT_S if timeout is None or timeout > EXPIRES_S_MAX else 0.0
        want = Want(
            batch=batch,
            max_bytes=max_bytes,
            timeout=timeout,
            heartbeat=heartbeat,
            no_wait=no_wait,
            options=options,
        )
        fetcher = await self._fetcher()
        self._busy.add(fetcher)
        try:
            return await fetcher.fetch(want)
        finally:
            self._busy.discard(fetcher)
            if len(self._idle) < FETCHERS_MAX and not (self._closed or fetcher.refused):
                self._idle.append(fetcher)
            else:
                fetcher.close()

    async def _fetcher(self) -> Fetcher:
        if self._closed:
            raise SubscriptionEnded(self._js.bus.url, self.consumer)
        for index, fetcher in enumerate(self._idle):
            if fetcher.pending_msgs:
                return self._idle.pop(index)
        if self._idle:
            return self._idle.pop()
        fetcher = Fetcher(self._js, self.stream, self.consumer, self._pins)
        await fetcher.open()
        if self._closed:  # meanwhile: the fetch will say so
            fetcher.close()
        return fetcher

    async def consume(
        self,
        cb: JSCallback | None = None,
        *,
        max_messages: int | None = None,
        max_bytes: int | None = None,
        expires: float = EXPIRES_S,
        heartbeat: float | None = None,
        threshold_messages: int | None = None,
        threshold_bytes: int | None = None,
        error_cb: NotifyError | None = None,
        **priority: Unpack[PriorityOptions],
    ) -> Consume:
        """Messages without end (ADR-37): the next ones are on their way before they are needed.

            async with await subscription.consume() as messages:
                async for msg in messages:
                    msg.ack()

        Args:
            cb: called with each message, instead of iterating.
            max_messages: at most so many asked for and not yet taken; 500 by default.
            max_bytes: the same in bytes, instead of `max_messages`.
            expires: seconds that one request lives on the server, at least 1.
            heartbeat: seconds between the server's signs of life while it has no message, 0.5 to
                half of `expires` and at most 30; that half by default. After two
                that are missing messages are asked for again.
            threshold_messages: ask for more when so many are left; half by default.
            threshold_bytes: the same in bytes, instead of it where there is `max_bytes`.
            error_cb: told what does not end it: missed heartbeats, refused requests, what `cb`
                raises. Logged by default.
            **priority: see `PriorityOptions`.

        Returns:
            What to iterate over, to `stop` or to `drain`.

        Raises:
            InvalidOption: an argument can't be.
            ValueError: what is to be a number of seconds is none.
            Unsupported: the callback can't be called.
            ConnectionClosed: the bus was closed.
        """
        flow = Flow.of(
            max_messages, max_bytes, expires, heartbeat, threshold_messages, threshold_bytes
        )
        options = PullOptions(**priority)
        consume = Consume(
            self._js, self.stream, self.consumer, flow, options, self._pins, cb, error_cb
        )
        return await consume.open()

    async def unsubscribe(self) -> None:
        """Fetch no more. The consumer stays, and so do consumptions until they are stopped."""
        self._closed = True
        for fetcher in [*self._idle, *self._busy]:
            fetcher.close()
        self._idle.clear()
