"""What waits to be sent, within one bound, whether there is a connection or not."""

from __future__ import annotations

import asyncio

from agents_core.errors import ConnectionClosed, OutboundBufferFull
from agents_core.nats.connection import Connection
from agents_core.nats.protocol import MAX_PAYLOAD_DEFAULT

FAIR_CALLS = 100
"""Calls of `ready` in a row that return at once; then everybody else gets a turn."""


class Outbox:
    """Where published frames go: to the connection, or here while there is none.

    Args:
        limit: bytes that may wait, here or on a connection that is full.

    Attributes:
        connection: where frames go at once; None while they have to wait.
        max_payload: bytes of headers and payload that the server accepts in one message.
    """

    def __init__(self, limit: int) -> None:
        self.connection: Connection | None = None
        self.max_payload = MAX_PAYLOAD_DEFAULT
        self.limit = limit
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._room = asyncio.Event()
        self._calls = 0
        self._closed = False

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._held_bytes if self.connection is None else self.connection.pending_bytes

    def hold(self, frame: bytes) -> None:
        """Keep a frame for the next connection.

        Raises:
            OutboundBufferFull: too much waits already.
            ConnectionClosed: there will be none.
        """
        if self._closed:
            raise ConnectionClosed()
        if self._held_bytes + len(frame) > self.limit:
            raise OutboundBufferFull(self.limit)
        self._held.append(frame)
        self._held_bytes += len(frame)

    def keep(self, connection: Connection) -> None:
        """Send on the next connection what never reached the transport of this one, in order.

        Publishes only: SUB and UNSUB are made anew, PING belonged to the connection that is gone.
        """
        frames = connection.protocol.data_to_send()
        kept = [frame for frame in frames if frame.startswith((b"PUB ", b"HPUB "))]
        self._held[:0] = kept
        self._held_bytes += sum(map(len, kept))

    def attach(self, connection: Connection) -> None:
        """Send on this connection from now on, what was held first."""
        self.connection = connection
        frames, self._held, self._held_bytes = self._held, [], 0
        for frame in frames:
            connection.send(frame)
        self.wake()

    async def ready(self) -> None:
        """See `Bus.ready`."""
        self._calls += 1
        if self._calls % FAIR_CALLS == 0:  # a loop that only publishes must not be alone
            await asyncio.sleep(0)
        while self.size * 2 > self.limit and not self._closed:
            if self.connection is not None and not self.connection.paused:
                await asyncio.sleep(0)  # it is written at the end of this turn
                continue
            self._room.clear()
            await self._room.wait()
        if self._closed:
            raise ConnectionClosed()

    def wake(self) -> None:
        """There may be room again: who waits for it looks."""
        self._room.set()

    def close(self) -> None:
        """Drop what waits."""
        self._closed = True
        self.connection = None
        self._held.clear()
        self._held_bytes = 0
        self.wake()
