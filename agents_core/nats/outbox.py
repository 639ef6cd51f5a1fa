"""What waits to be sent, within one bound, whether there is a connection or not."""

from __future__ import annotations

import asyncio

from agents_core.bus import Stats
from agents_core.errors import ConnectionClosed, MaxPayloadExceeded, OutboundBufferFull
from agents_core.nats.connection import Connection
from agents_core.nats.frames import Frame, Frames, size_of
from agents_core.nats.protocol import MAX_PAYLOAD_DEFAULT

FAIR_CALLS = 100
"""Calls of `ready` in a row that return at once; then everybody else gets a turn."""


class Outbox:
    """Where published frames go: to the connection, or here while there is none.

    Args:
        limit: bytes that may wait, here or on a connection that is full.

    Attributes:
        connection: where frames go at once; None while they have to wait.
        frames: those that wait, there or here.
        max_payload: bytes of headers and payload that the server accepts in one message.
    """

    def __init__(self, limit: int, stats: Stats) -> None:
        self.connection: Connection | None = None
        self.max_payload = MAX_PAYLOAD_DEFAULT
        self._limit = limit
        self.frames = self._held = Frames(stats)
        self._room = asyncio.Event()
        self._calls = 0
        self._closed = False

    def send(self, frame: Frame) -> None:
        """Send a frame, or keep it for the next connection.

        Raises:
            OutboundBufferFull: too much waits already.
            ConnectionClosed: there will be no connection.
        """
        if self._closed:
            raise ConnectionClosed()
        connection = self.connection
        stuck = connection is None or connection.pipe is None
        if stuck and self.frames.size + sum(map(len, frame)) > self._limit:
            raise OutboundBufferFull(self._limit)
        if connection is None:
            self._held.add(frame)
        else:
            connection.send(frame)

    def attach(self, connection: Connection) -> list[MaxPayloadExceeded]:
        """Send on this connection from now on, what was held first.

        Returns what this server would end the connection for, and was dropped: the one before took
        more.
        """
        self.connection, self.frames = connection, connection.frames
        dropped = []
        for frame in self._held.take_messages():
            size = size_of(frame)
            if size > self.max_payload:
                dropped.append(MaxPayloadExceeded(size, self.max_payload))
            else:
                connection.send(frame)
        self.wake()
        return dropped

    def detach(self) -> None:
        """Hold what is sent from now on, for the next connection."""
        self.connection, self.frames = None, self._held

    def keep(self, connection: Connection) -> None:
        """Send on the next connection what never reached the transport of this one, in order.

        Publishes only: SUB and UNSUB are made anew, PING belonged to the connection that is gone.
        """
        for frame in connection.frames.take_messages() + self._held.take_messages():
            self._held.add(frame)

    async def ready(self) -> None:
        """See `Bus.ready`."""
        self._calls += 1
        if self._calls % FAIR_CALLS == 0:  # a loop that only publishes must not be alone
            await asyncio.sleep(0)
        while self.frames.size * 2 > self._limit and not self._closed:
            if self.connection is not None and self.connection.pipe is not None:
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
        self.detach()
        self._held.take()
        self.wake()
