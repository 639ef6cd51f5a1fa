"""Requests over any bus: one reply subscription, a token each, deadlines on one heap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from agents_core.bus import Status
from agents_core.errors import (
    AgentsError,
    ConnectionClosed,
    NoResponders,
    NotConnected,
    OutboundBufferFull,
    RequestTimeout,
)
from agents_core.nats.headers import HeadersLike
from agents_core.nats.msg import Msg
from agents_core.nats.subscription import Bounds
from agents_core.timers import check_seconds

if TYPE_CHECKING:
    from agents_core.bus import Callback, Subscription
    from agents_core.nats.basebus import BaseBus
    from agents_core.timers import Timer, Timers

REQUESTS_MAX = 65_536
"""Requests that may wait for a reply at once; more are a leak, and refused."""

NO_RESPONDERS = 503


class Requests:
    """The requests of one bus.

    Args:
        bus: what they are published on.
        prefix: the private reply subject, without the token.
        timers: where their deadlines are.
        listen: subscribes for replies, also while the bus drains.

    Attributes:
        subscription: the one that the replies to `request` come by; None before the first.
    """

    def __init__(
        self,
        bus: BaseBus,
        prefix: str,
        timers: Timers,
        listen: Callable[[str, Callback | None, int, Bounds], Awaitable[Subscription]],
    ) -> None:
        self.bus = bus
        self._prefix = prefix
        self.timers = timers
        self._listen = listen
        self._count = 0
        self._waiting: dict[str, tuple[str, asyncio.Future[Msg], Timer]] = {}
        self._many: dict[Subscription, str] = {}
        self.subscription: Subscription | None = None
        self._subscribing = asyncio.Lock()

    async def request(
        self, subject: str, payload: bytes, timeout: float, headers: HeadersLike | None
    ) -> Msg:
        """See `Bus.request`."""
        self._check()
        if self.subscription is None:
            async with self._subscribing:
                self.subscription = self.subscription or await self._listen(
                    f"{self._prefix}.*", self._reply, 0, Bounds()
                )
            self._check()  # the connection may be lost meanwhile
        self._count += 1
        token = str(self._count)
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        timer = self.timers.after(
            timeout, lambda: self._fail(token, RequestTimeout(subject, timeout))
        )
        self._waiting[token] = subject, future, timer
        try:
            self.bus.publish(subject, payload, f"{self._prefix}.{token}", headers)
            return await future
        finally:
            timer.cancel()
            self._waiting.pop(token, None)

    def request_many(
        self,
        subject: str,
        payload: bytes,
        timeout: float,
        headers: HeadersLike | None,
        *,
        stall: float | None,
        max_msgs: int,
        sentinel: Callable[[Msg], bool] | None,
    ) -> Answers:
        """See `Bus.request_many`."""
        return Answers(
            self,
            subject,
            payload,
            timeout,
            headers,
            stall=stall,
            max_msgs=max_msgs,
            sentinel=sentinel,
        )

    async def begin(self, subject: str, max_msgs: int) -> Subscription:
        """Where the answers to one question come.

        A subscription of its own: while a client changes its server, a reply may come by the common
        one twice.
        """
        self._check()
        bounds = Bounds(pending_policy="error")
        replies = await self._listen(self.bus.new_inbox(), None, max_msgs, bounds)
        self._many[replies] = subject
        return replies

    def end(self, replies: Subscription) -> None:
        """No more of these answers are wanted."""
        del self._many[replies]
        replies.end()

    def _check(self) -> None:
        """Whether one more question may be asked, and its answer can come."""
        if self.bus.status is Status.CLOSED:
            raise ConnectionClosed(self.bus.url)
        if not self.bus.is_connected:  # the status does not say so while it drains
            raise NotConnected(self.bus.url)
        if len(self._waiting) + len(self._many) >= REQUESTS_MAX:
            raise OutboundBufferFull(REQUESTS_MAX, "requests")

    def _reply(self, msg: Msg) -> None:
        waiting = self._waiting.get(msg.subject[len(self._prefix) + 1 :])
        if waiting is None or waiting[1].done():
            return  # too late: the asker has given up
        subject, future, _ = waiting
        if is_no_responders(msg):
            future.set_exception(NoResponders(subject))
        else:
            future.set_result(msg)

    def _fail(self, token: str, error: AgentsError) -> None:
        waiting = self._waiting.get(token)
        if waiting is not None and not waiting[1].done():
            waiting[1].set_exception(error)

    def fail_subject(self, subject: str, error: AgentsError) -> None:
        """The server refused a request's subject or reply: who waits for the answer hears it."""
        for token, (wanted, _, _) in list(self._waiting.items()):
            if subject in {wanted, f"{self._prefix}.{token}"}:
                self._fail(token, error)
        for replies, wanted in list(self._many.items()):
            if subject in {wanted, replies.subject}:
                replies.end(error)

    def check(self, error: AgentsError) -> None:
        """The server refused a subscription: if it is the one for replies, none can come."""
        if self.subscription is not None and self.subscription.ended:
            self.subscription = None
            self.fail_all(error)

    def fail_all(self, error: AgentsError) -> None:
        """The connection is gone: nobody waits for a reply that can't come."""
        for token in list(self._waiting):
            self._fail(token, error)
        for replies in list(self._many):
            replies.end(error)

    def owns(self, subscription: Subscription) -> bool:
        """Whether answers come by it: it has to stay as long as somebody may ask."""
        return subscription is self.subscription or subscription in self._many


class Answers(AsyncIterator[Msg]):
    """All answers to one question, see `Bus.request_many`.

    No generator: that would be over when somebody gives up waiting for the next one.
    """

    def __init__(
        self,
        requests: Requests,
        subject: str,
        payload: bytes,
        timeout: float,
        headers: HeadersLike | None,
        *,
        stall: float | None,
        max_msgs: int,
        sentinel: Callable[[Msg], bool] | None,
    ) -> None:
        self._replies: Subscription | None = None  # before the first, and behind the last
        self._deadline: Timer | None = None
        self._stalled: Timer | None = None
        self._answered = self._over = False
        self._requests, self._bus = requests, requests.bus
        self._subject, self._payload, self._headers = subject, payload, headers
        self._timeout, self._max_msgs, self._sentinel = timeout, max_msgs, sentinel
        endless = stall is None or stall <= 0 or stall >= timeout
        self._stall = None if endless else stall

    async def __anext__(self) -> Msg:
        if self._over:
            raise StopAsyncIteration
        try:
            return await self._next(self._replies or await self._ask())
        except asyncio.CancelledError:  # who gave up may come again
            raise
        except BaseException:
            self._end()
            raise

    async def _ask(self) -> Subscription:
        if self._stall is not None:
            check_seconds(self._stall, "stall")
        replies = self._replies = await self._requests.begin(self._subject, self._max_msgs)
        self._deadline = self._requests.timers.after(self._timeout, replies.end)
        self._bus.publish(self._subject, self._payload, replies.subject, self._headers)
        return replies

    async def _next(self, replies: Subscription) -> Msg:
        if self._answered and self._stall is not None:  # the reader's own time is not ours
            self._stalled = self._requests.timers.after(self._stall, replies.end)
        self._answered = False
        try:
            msg = await replies.next_msg(None)
        except ConnectionClosed:
            if self._bus.status is Status.CLOSED:
                raise
            raise StopAsyncIteration from None
        if self._stalled is not None:
            self._stalled.cancel()
        if is_no_responders(msg):
            raise NoResponders(self._subject)
        if self._sentinel is not None and self._sentinel(msg):
            raise StopAsyncIteration
        self._answered = True
        return msg

    def _end(self) -> None:
        """Nothing here may wait: the reader may have left."""
        self._over = True
        for timer in (self._deadline, self._stalled):
            if timer is not None:
                timer.cancel()
        replies, self._replies = self._replies, None
        if replies is not None:
            self._requests.end(replies)

    async def aclose(self) -> None:
        """Break off now, as with a generator; who drops it breaks off as well."""
        self._end()

    def __del__(self) -> None:
        self._end()


def is_empty(msg: Msg) -> bool:
    """The usual `sentinel` of `request_many`: a message without payload ends the answers."""
    return not msg.data


def is_no_responders(msg: Msg) -> bool:
    """Whether the server says that nobody listens; a responder too may say 503, with a payload."""
    return msg.status == NO_RESPONDERS and not msg.data
