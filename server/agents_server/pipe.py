"""Bytes between two processes, over a pair of connected sockets."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from agents_core.hosts.pipe import Receiver


class SocketPipe(asyncio.Protocol):
    """One end.

    Args:
        receiver: hears what arrives.
    """

    def __init__(self, receiver: Receiver) -> None:
        self.closed = asyncio.get_running_loop().create_future()
        self._receiver = receiver
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def over(cls, end: socket.socket, receiver: Receiver) -> SocketPipe:
        """Take a socket over."""
        loop = asyncio.get_running_loop()
        _, pipe = await loop.create_connection(lambda: cls(receiver), sock=end)
        return pipe

    def post(self, data: bytes) -> None:
        """See `Pipe.post`."""
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Hear nothing more, and let the other side see the end."""
        assert self._transport is not None
        self._transport.abort()

    # -- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._receiver.arrived(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if not self.closed.done():
            self.closed.set_result(None)
