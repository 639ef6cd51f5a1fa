"""Publishing without waiting for each acknowledgement: a bounded window of those under way."""

from __future__ import annotations

import asyncio

from agents_core.bus import Bus, Status, Subscription
from agents_core.errors import AgentsError, ConnectionClosed, OutboundBufferFull, RequestTimeout
from agents_core.nats.headers import HeadersLike
from agents_core.nats.jetstream.errors import NoStreamResponse, TooManyStalledMsgs
from agents_core.nats.jetstream.header import Header
from agents_core.nats.jetstream.publish import PubAck, read_ack
from agents_core.nats.msg import Msg
from agents_core.nats.requests import is_no_responders
from agents_core.nats.waiters import Waiters
from agents_core.timers import Timer, Timers, within

MAX_PENDING = 4000
"""Messages that may wait for their acknowledgement, as in nats-py."""

RETRY_ATTEMPTS = 2
RETRY_WAIT_S = 0.25
"""How often and after how long to publish again when no stream answers (ADR-22): it may be electing
its leader. Nothing was stored then, so nothing is stored twice."""


class _Pending:
    """A message whose acknowledgement has not come."""

    __slots__ = ("attempts", "deadline", "future", "headers", "payload", "subject")

    def __init__(
        self,
        subject: str,
        payload: bytes,
        headers: HeadersLike | None,
        future: asyncio.Future[PubAck],
        deadline: float,
    ) -> None:
        self.subject = subject
        self.payload = payload
        self.headers = headers
        self.future = future
        self.deadline = deadline
        self.attempts = 0


class Window:
    """The messages of one context that are under way.

    When a connection is lost nobody knows which of them were stored. Those with a message id are
    published again on the next one, behind what the bus held for it, so their order may change; the
    others have until their deadline.

    Args:
        bus: what they are published on.
        timers: where their deadlines are.
        limit: how many may be under way.
        timeout: seconds for each acknowledgement.
    """

    def __init__(self, bus: Bus, timers: Timers, limit: int, timeout: float) -> None:
        self._bus = bus
        self._timers = timers
        self._limit = limit
        self._timeout = timeout
        self._inbox = bus.new_inbox()
        self._subscription: Subscription | None = None
        self._opening = asyncio.Lock()
        self._count = 0
        self._pending: dict[str, _Pending] = {}  # in the order of their deadlines
        self._room = Waiters()
        self._empty = Waiters()
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._pending)

    async def publish(
        self,
        subject: str,
        payload: bytes,
        headers: HeadersLike | None,
        wait_stall: float | None,
    ) -> asyncio.Future[PubAck]:
        """Send a message, when there is room for it, and return what its acknowledgement will be.

        Raises:
            TooManyStalledMsgs: there was no room within `wait_stall` seconds.
            and what `Bus.publish` raises.
        """
        if self._subscription is None or self._subscription.ended:
            await self._open()
        if self._room or len(self._pending) >= self._limit:
            await self._wait(wait_stall)
        while True:
            try:
                return self._send(subject, payload, headers)
            except Exception as error:
                if not (isinstance(error, OutboundBufferFull) and self._pending):
                    self._room.wake()  # it was not taken, and nothing else will make room
                    raise
            await self._wait(wait_stall)

    async def _open(self) -> None:
        async with self._opening:
            first = self._subscription is None
            if self._subscription is None or self._subscription.ended:
                self._subscription = await self._bus.subscribe(f"{self._inbox}.*", cb=self._reply)
            if first:
                self._bus.on_status(self._on_status)
                self._bus.on_refusal(self._on_refusal)
        if self._subscription.error is not None:  # refused meanwhile
            raise self._subscription.error

    def _send(
        self, subject: str, payload: bytes, headers: HeadersLike | None
    ) -> asyncio.Future[PubAck]:
        self._count += 1
        token = str(self._count)
        self._bus.publish(subject, payload, f"{self._inbox}.{token}", headers)
        future: asyncio.Future[PubAck] = asyncio.get_running_loop().create_future()
        deadline = self._timers.now() + self._timeout
        self._pending[token] = _Pending(subject, payload, headers, future, deadline)
        if self._timer is None:
            self._timer = self._timers.after(self._timeout, self._expire)
        return future

    async def _wait(self, seconds: float | None) -> None:
        """Return when an acknowledgement has made room; those who wait are served in turn."""
        try:
            async with within(seconds):
                await self._room.wait()
                while len(self._pending) >= self._limit:
                    await self._room.wait()
        except TimeoutError:
            raise TooManyStalledMsgs(self._limit) from None

    async def completed(self) -> None:
        """Return when every message has its acknowledgement, or its error."""
        while self._pending:
            await self._empty.wait()

    def _reply(self, msg: Msg) -> None:
        token = msg.subject[len(self._inbox) + 1 :]
        pending = self._pending.get(token)
        if pending is None:
            return  # too late
        if is_no_responders(msg):
            self._again(token, pending)
            return
        try:
            ack = read_ack(msg.data)
        except AgentsError as error:
            self._fail(token, error)
            return
        self._forget(token)
        if not pending.future.done():
            pending.future.set_result(ack)

    def _again(self, token: str, pending: _Pending) -> None:
        if pending.attempts == RETRY_ATTEMPTS:
            self._fail(token, NoStreamResponse(pending.subject))
            return
        pending.attempts += 1
        self._timers.after(RETRY_WAIT_S, lambda: self._resend(token))

    def _resend(self, token: str) -> None:
        pending = self._pending.get(token)
        if pending is None:
            return
        reply = f"{self._inbox}.{token}"
        try:
            self._bus.publish(pending.subject, pending.payload, reply, pending.headers)
        except AgentsError as error:
            self._fail(token, error)

    def _expire(self) -> None:
        """Fail what has waited too long; the deadlines are in the order of the messages."""
        now = self._timers.now()
        self._timer = None
        for token, pending in list(self._pending.items()):
            if pending.deadline > now:
                self._timer = self._timers.after(pending.deadline - now, self._expire)
                return
            self._fail(token, RequestTimeout(pending.subject, self._timeout))

    def _fail(self, token: str, error: AgentsError) -> None:
        pending = self._pending[token]
        self._forget(token)
        if not pending.future.done():
            pending.future.set_exception(error)

    def _forget(self, token: str) -> None:
        """One less: the next that waits may go on."""
        del self._pending[token]
        self._room.wake()
        if not self._pending:
            self._empty.wake_all()

    def _on_refusal(self, error: AgentsError, subject: str) -> None:
        """This user may not publish there, or not hear what becomes of it."""
        deaf = self._subscription is not None and self._subscription.ended
        for token, pending in list(self._pending.items()):
            if deaf or pending.subject == subject:
                self._fail(token, error)

    def _on_status(self, status: Status) -> None:
        for token, pending in list(self._pending.items()):
            if status is Status.CLOSED:
                self._fail(token, ConnectionClosed(self._bus.url))
            elif status is Status.CONNECTED and Header.MSG_ID in (pending.headers or ()):
                self._resend(token)  # lost with the connection or not, it is stored once
