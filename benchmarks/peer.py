"""A NATS client as the measures see it: our own here, others in `natives`; runs in the tab too."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Protocol

from agents_core.bus import Bus

DEADLINE_S = 60.0
"""A run that takes longer has lost messages."""


class Counter:
    """Counts what arrives; every client's callback does just this.

    Attributes:
        received: messages since the last `begin`.
    """

    def __init__(self) -> None:
        self.received = 0
        self._count = 0
        self._reached: asyncio.Future[float] | None = None

    def begin(self) -> None:
        """Count from nothing."""
        self.received = 0

    async def reach(self, count: int) -> float:
        """Wait until so many have come; the time when they had."""
        if self.received >= count:
            return perf_counter()
        self._count, self._reached = count, asyncio.get_running_loop().create_future()
        return await self._reached

    def one(self, _: object) -> None:
        """One message more."""
        self.received += 1
        if self.received == self._count and self._reached is not None:
            self._reached.set_result(perf_counter())


class Peer(Protocol):
    """One connection, used in the way that is fastest for this client."""

    name: str

    async def subscribe(self, subject: str, counter: Counter) -> None:
        """Have each message counted."""
        ...

    async def echo(self, subject: str) -> None:
        """Answer each request with its own payload."""
        ...

    async def publish(self, subject: str, payload: bytes, count: int) -> None:
        """Hand over so many messages."""
        ...

    async def request(self, subject: str) -> None:
        """One request, and its answer."""
        ...

    async def flush(self) -> None:
        """The server knows of every subscription."""
        ...

    async def close(self) -> None:
        """End the connection."""
        ...


class OwnPeer:
    """Any bus of ours."""

    def __init__(self, name: str, bus: Bus) -> None:
        self.name = name
        self._bus = bus

    async def subscribe(self, subject: str, counter: Counter) -> None:
        await self._bus.subscribe(subject, cb=counter.one)

    async def echo(self, subject: str) -> None:
        await self._bus.subscribe(subject, cb=lambda msg: msg.respond(msg.data))

    async def publish(self, subject: str, payload: bytes, count: int) -> None:
        publish = self._bus.publish
        for _ in range(count):
            publish(subject, payload)

    async def request(self, subject: str) -> None:
        await self._bus.request(subject, b"ping", timeout=DEADLINE_S)

    async def flush(self) -> None:
        await self._bus.flush()

    async def close(self) -> None:
        await self._bus.close()
