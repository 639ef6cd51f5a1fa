"""Requests over any bus: one reply subscription, a token each, deadlines on one heap."""

from __future__ import annotations

import asyncio
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

if TYPE_CHECKING:
    from agents_core.bus import Bus, Subscription
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

    Attributes:
        subscription: the one that all replies come by; None before the first request.
    """

    def __init__(self, bus: Bus, prefix: str, timers: Timers) -> None:
        self._bus = bus
        self._prefix = prefix
        self._timers = timers
        self._count = 0
        self._waiting: dict[str, tuple[str, asyncio.Future[Msg], Timer]] = {}
        self.subscription: Subscription | None = None
        self._subscribing = asyncio.Lock()

    async def request(
        self, subject: str, payload: bytes, timeout: float, headers: HeadersLike | None
    ) -> Msg:
        """See `Bus.request`."""
        if self._bus.status is Status.CLOSED:
            raise ConnectionClosed(self._bus.url)
        if self._bus.status not in {Status.CONNECTED, Status.DRAINING}:
            raise NotConnected(self._bus.url)
        if len(self._waiting) >= REQUESTS_MAX:
            raise OutboundBufferFull(REQUESTS_MAX)
        if self.subscription is None:
            async with self._subscribing:
                self.subscription = self.subscription or await self._bus.subscribe(
                    f"{self._prefix}.*", cb=self._reply
                )
        self._count += 1
        token = str(self._count)
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        timer = self._timers.after(
            timeout, lambda: self._fail(token, RequestTimeout(subject, timeout))
        )
        self._waiting[token] = subject, future, timer
        try:
            self._bus.publish(subject, payload, f"{self._prefix}.{token}", headers)
            return await future
        finally:
            timer.cancel()
            self._waiting.pop(token, None)

    def _reply(self, msg: Msg) -> None:
        waiting = self._waiting.get(msg.subject[len(self._prefix) + 1 :])
        if waiting is None or waiting[1].done():
            return  # too late: the asker has given up
        subject, future, _ = waiting
        if msg.status == NO_RESPONDERS and not msg.data:
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

    def check(self, error: AgentsError) -> None:
        """The server refused a subscription: if it is the one for replies, none can come."""
        if self.subscription is not None and self.subscription.ended:
            self.subscription = None
            self.fail_all(error)

    def fail_all(self, error: AgentsError) -> None:
        """The connection is gone: nobody waits for a reply that can't come."""
        for token in list(self._waiting):
            self._fail(token, error)
