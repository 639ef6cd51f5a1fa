"""What agents need of NATS, whoever provides it.

Two implementations: `LocalBus` in one process, and our own client `agents_core.nats.Client`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from agents_core.nats.headers import HeadersLike
    from agents_core.nats.msg import Msg

Callback: TypeAlias = "Callable[[Msg], object]"
"""Called with each message. A plain function runs at once, inside the arrival; a coroutine function
runs in order on the subscription's own task."""

PENDING_MSGS_LIMIT = 65_536
"""Messages a subscription keeps for a slow reader before it drops the newest; nats-py keeps
524,288, which in a tab would be memory that never comes back."""

PENDING_BYTES_LIMIT = 64 * 1024 * 1024
"""The same in bytes."""


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
    def dropped(self) -> int:
        """Messages dropped because the reader was too slow."""
        ...

    async def next_msg(self, timeout: float | None = 1.0) -> Msg:
        """The next message.

        Raises:
            RequestTimeout: none came within `timeout` seconds.
            ConnectionClosed: the subscription ended.
        """
        ...

    def __aiter__(self) -> AsyncIterator[Msg]:
        """Messages until the subscription ends."""
        ...

    @property
    def ended(self) -> bool:
        """No more messages will arrive; some may still be pending."""
        ...

    def end(self) -> None:
        """End now, without waiting for anything."""
        ...

    async def unsubscribe(self, limit: int = 0) -> None:
        """End now, or after `limit` messages have arrived since the subscription began."""
        ...

    async def drain(self) -> None:
        """End, but deliver what has already arrived."""
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
            ConnectionClosed: the bus is closed or draining.
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
    ) -> Subscription:
        """Begin to receive.

        The interest outlives reconnects; while down it is registered on the next connection.

        Raises:
            InvalidSubject: `subject` or `queue` can't be subscribed to.
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

    async def flush(self, timeout: float = 10.0) -> None:
        """A barrier: return when the server has processed everything published before.

        Raises:
            NotConnected: there is no connection.
            RequestTimeout: the server did not answer in time.
        """
        ...

    async def rtt(self) -> float:
        """Seconds for one PING and PONG."""
        ...

    def new_inbox(self) -> str:
        """A fresh reply subject under this connection's private prefix."""
        ...

    def on_status(self, listener: Callable[[Status], None]) -> Callable[[], None]:
        """Call `listener` at each change of status, until the returned function is called."""
        ...

    async def drain(self) -> None:
        """Deliver what has arrived, send what is pending, then close."""
        ...

    async def close(self) -> None:
        """Close at once; what waits is dropped, and whoever waits is told."""
        ...
