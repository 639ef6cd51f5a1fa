"""What agents need of NATS, whoever provides it.

Each `timeout` is a number of seconds, or None where that is said; NaN is a `ValueError`.
`LocalBus` in one process, our own client `agents_core.nats.Client`, and nats-py on a server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    import asyncio

    from agents_core.errors import AgentsError, ServerError
    from agents_core.nats.headers import HeadersLike
    from agents_core.nats.msg import Msg

Callback: TypeAlias = "Callable[[Msg], object]"
"""Called with each message. A plain function runs at once, inside the arrival; a coroutine function
runs in order on the subscription's own task. An object with `async def __call__` counts as one; a
plain function must not return a coroutine."""

CHECK_S = 2.0
"""Seconds that a server has to answer when something hints that it may be gone: it is on the way
of a person who has just come back to a tab, and a live server needs milliseconds."""

PENDING_MSGS_LIMIT = 65_536
"""Messages a subscription keeps for a slow reader before it drops the newest; nats-py keeps
524,288, which in a tab would be memory that never comes back."""

PENDING_BYTES_LIMIT = 64 * 1024 * 1024
"""The same in bytes."""


PendingPolicy: TypeAlias = Literal["drop_new", "drop_old", "error"]
"""What becomes of a message for a reader that is too slow, when the bounds above are reached.

`drop_new` drops it, as nats-py does. `drop_old` drops the oldest that waits, for readers who want
what is current. `error` ends the subscription: what waits is still delivered, then `SlowConsumer`
is raised, for readers who would rather stop than miss one.

There is no `block`: nothing can ask a NATS server to wait, which ends the connection of who does
not read, and no browser can leave a WebSocket unread. Who must not lose messages pulls them from a
stream."""


class Status(StrEnum):
    """Where a connection is in its life."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    DRAINING = "draining"
    CLOSED = "closed"


@dataclass(slots=True)
class Stats:
    """Counters since the bus was opened, named as in nats-py."""

    in_msgs: int = 0
    out_msgs: int = 0
    in_bytes: int = 0
    out_bytes: int = 0
    reconnects: int = 0
    errors_received: int = 0
    dropped: int = 0


class Done:
    """What a plain function returns so that `await` may be written before it, as in nats-py."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


DONE = Done()


class Subscription(Protocol):
    """Interest in a subject, with or without a callback."""

    @property
    def subject(self) -> str:
        """What it subscribes to; may have wildcards."""
        ...

    @property
    def queue(self) -> str:
        """Its queue group, or empty."""
        ...

    @property
    def pending_msgs(self) -> int:
        """Messages that arrived and were not yet taken."""
        ...

    @property
    def pending_bytes(self) -> int:
        """Their size in bytes of payload and headers."""
        ...

    @property
    def received(self) -> int:
        """Messages that arrived so far; within a callback, that one is the last of them."""
        ...

    @property
    def dropped(self) -> int:
        """Messages dropped because the reader was too slow."""
        ...

    async def next_msg(self, timeout: float | None = 1.0) -> Msg:
        """The next message.

        Raises:
            MessageTimeout: none came within `timeout` seconds; a `RequestTimeout`.
            SubscriptionEnded: it has ended; a `ConnectionClosed`.
            Unsupported: a callback gets the messages.
        """
        ...

    def __aiter__(self) -> AsyncIterator[Msg]:
        """Messages until the subscription ends; who gives up waiting for one may go on."""
        ...

    @property
    def ended(self) -> bool:
        """No more messages will arrive; some may still be pending."""
        ...

    @property
    def error(self) -> AgentsError | None:
        """Why it has ended, unless that was asked for."""
        ...

    def end(self, error: AgentsError | None = None) -> None:
        """End now, without waiting for anything; its reader is told the error, if there is one."""
        ...

    async def unsubscribe(self, limit: int = 0) -> None:
        """End now, or after `limit` messages have arrived since the subscription began."""
        ...

    async def leave(self) -> None:
        """End, but take what was under way; a callback may still have to handle it."""
        ...

    async def drain(self) -> None:
        """End, but deliver what has already arrived; return when a callback has handled it."""
        ...

    def include(self, work: asyncio.Task[None]) -> None:
        """`Bus.drain` waits for this, too: it handles what a plain callback has taken."""
        ...


class Bus(Protocol):
    """Publish, subscribe and request, over whatever connects this node to others."""

    @property
    def url(self) -> str:
        """The server in use, or to be tried; without credentials."""
        ...

    @property
    def status(self) -> Status:
        """Where the connection is in its life."""
        ...

    @property
    def stats(self) -> Stats:
        """Counters since the bus was opened."""
        ...

    @property
    def max_payload(self) -> int:
        """Bytes of headers and payload that one message may have."""
        ...

    def publish(
        self,
        subject: str,
        payload: bytes = b"",
        reply: str = "",
        headers: HeadersLike | None = None,
    ) -> Awaitable[None]:
        """Send a message, at most once.

        A plain function: `await` before it is allowed, and does nothing (decision 0002).
        While the connection is down the message waits in a bounded buffer.

        Raises:
            InvalidSubject: `subject` or `reply` is no subject, or has a wildcard.
            InvalidHeader: a header can't be sent.
            MaxPayloadExceeded: headers and payload are too large.
            OutboundBufferFull: the buffer is full.
            ConnectionClosed: the bus is closed. While it drains, callbacks may still answer.
        """
        ...

    async def subscribe(
        self,
        subject: str,
        queue: str = "",
        cb: Callback | None = None,
        *,
        max_msgs: int = 0,
        pending_msgs_limit: int = PENDING_MSGS_LIMIT,
        pending_bytes_limit: int = PENDING_BYTES_LIMIT,
        pending_policy: PendingPolicy = "drop_new",
    ) -> Subscription:
        """Begin to receive.

        The interest outlives reconnects; while down it is registered on the next connection.

        Args:
            subject: may have wildcards.
            queue: of all members of this group one gets each message.
            cb: called with each message; without it they wait for `next_msg` or `async for`.
            max_msgs: end by itself after so many messages; 0 or less for never.
            pending_msgs_limit: messages that may wait for a slow reader; 0 or less for any number.
                A plain callback is called at once, so that none waits.
            pending_bytes_limit: the same in bytes of payload and headers.
            pending_policy: what becomes of more than that. A status message, by which servers
                speak about a stream, is never dropped.

        Raises:
            InvalidSubject: `subject` or `queue` can't be subscribed to.
            Unsupported: there is no such policy, `cb` can't be called, or another event loop runs.
            ConnectionClosed: the bus is closed or draining.
        """
        ...

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,
        headers: HeadersLike | None = None,
    ) -> Msg:
        """Publish with a private reply subject and return the first answer.

        Raises:
            NoResponders: nobody subscribes, told by the server at once.
            RequestTimeout: no answer within `timeout` seconds.
            NotConnected: the connection is down, or went down while waiting.
            and what `publish` raises.
        """
        ...

    def request_many(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,
        headers: HeadersLike | None = None,
        *,
        stall: float | None = None,
        max_msgs: int = 0,
        sentinel: Callable[[Msg], bool] | None = None,
    ) -> AsyncIterator[Msg]:
        """Publish with a private reply subject, and iterate over all answers that come (ADR-47).

        It is asked when the iteration begins, and ends after `timeout` seconds, or earlier by what
        is given. Answers that came in time are delivered also when the reader takes longer.
        Breaking off is allowed.

        Args:
            subject: whom to ask.
            payload: the question.
            timeout: seconds for all answers together.
            headers: of the question.
            stall: seconds after an answer in which the next one has to come; None, 0 or less, and
                what is not below `timeout`, for no such end.
            max_msgs: answers after which there is nothing to wait for; 0 if that is not known.
            sentinel: tells whether a message is the mark of the end; that one is not delivered.
                `agents_core.nats.requests.is_empty` is the usual one.

        Raises:
            NoResponders: nobody subscribes, told by the server at once.
            NotConnected: the connection is down, or went down before the end.
            SlowConsumer: more answers wait than a subscription may hold.
            and what `publish` raises.
        """
        ...

    async def ready(self) -> None:
        """Return when there is room to publish: less than half of what may wait does.

        For who publishes more than the network takes: `publish` raises when the buffer is full,
        `publish` and then `await ready()` goes at the network's pace. While the connection is down
        and the buffer is half full, it waits for the next one.

        Raises:
            ConnectionClosed: the bus was closed.
        """
        ...

    async def flush(self, timeout: float = 10.0) -> None:
        """A barrier: return when the server has processed everything published before.

        Raises:
            NotConnected: there is no connection.
            ConnectionClosed: the bus was closed.
            RequestTimeout: the server did not answer in time.
        """
        ...

    async def rtt(self, timeout: float = 10.0) -> float:
        """Seconds for one PING and PONG; raises what `flush` raises."""
        ...

    def new_inbox(self) -> str:
        """A fresh reply subject under this connection's private prefix."""
        ...

    def on_status(self, listener: Callable[[Status], None]) -> Callable[[], None]:
        """Call `listener` at each change of status, until the returned function is called."""
        ...

    def on_refusal(self, listener: Callable[[ServerError, str], None]) -> Callable[[], None]:
        """Call `listener` at each refusal of the server, until the returned function is called.

        With the error, and the subject that may not be published to; that is empty if it was a
        subscription, which has ended by then.
        """
        ...

    async def suspend(self) -> None:
        """Leave the server and stay away until `resume`: nothing is to run here for a while.

        What is published meanwhile waits in the bounded buffer, who waits for a reply is told
        `NotConnected`, and subscriptions live on. Does nothing on a bus that is closed.
        """
        ...

    async def resume(self) -> None:
        """Come back from `suspend`; or see to a connection that may have been lost unnoticed.

        For when a machine wakes up or a network is back. While a server is sought, the next
        attempt is made at once; one that is there has `CHECK_S` to answer, else it is lost.
        """
        ...

    async def drain(self) -> None:
        """Deliver what has arrived, send what is pending, then close."""
        ...

    async def close(self) -> None:
        """Close at once; what waits is dropped, and whoever waits is told."""
        ...
