"""What is to be done with a nats-py session, in order: its methods are coroutines, ours are not."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from nats import errors as native

from agents_core.errors import ConnectionClosed, OutboundBufferFull
from agents_server.nats_session import Session

STEP_BYTES = 64
"""What each step counts in the limit beside its own bytes, so that empty messages are bounded,
too."""

Step: TypeAlias = "Callable[[Session], Awaitable[object]]"
"""Something to do with the session."""


class Outbox:
    """One queue of steps and one task that takes them, while there is a session.

    Args:
        limit: bytes that may wait.
        on_error: told what a step raised.
    """

    def __init__(self, limit: int, on_error: Callable[[Exception], None]) -> None:
        self._limit, self._on_error = limit, on_error
        self._session: Session | None = None
        self._steps: deque[tuple[int, Step]] = deque()
        self._bytes = 0
        self._room = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._steps)

    def check(self, size: int) -> None:
        """Whether there is room for so many bytes.

        Raises:
            OutboundBufferFull: there is not.
        """
        if self._bytes + size + STEP_BYTES > self._limit:
            raise OutboundBufferFull(self._limit)

    def do(self, step: Step, size: int = 0) -> None:
        """Have this done behind everything before."""
        self._steps.append((size + STEP_BYTES, step))
        self._bytes += size + STEP_BYTES
        self._work()

    def use(self, session: Session | None) -> None:
        """Do it with this session from now on; None to wait for the next one."""
        self._session = session
        self._work()

    async def ready(self) -> None:
        """See `Bus.ready`."""
        while self._bytes * 2 > self._limit and not self._closed:
            self._room.clear()
            await self._room.wait()
        if self._closed:
            raise ConnectionClosed()

    async def close(self) -> None:
        """Drop what waits."""
        self._closed = True
        self._session = None
        self._steps.clear()
        self._bytes = 0
        self._room.set()
        if self._worker is not None and self._worker is not asyncio.current_task():
            self._worker.cancel()
            await asyncio.wait([self._worker])

    def _work(self) -> None:
        if self._session is not None and self._worker is None and self._steps:
            self._worker = asyncio.get_running_loop().create_task(self._take(self._session))

    async def _take(self, session: Session) -> None:
        """One step after the other; one that the loss of the session undid waits for the next."""
        while self._steps and session is self._session:
            size, step = self._steps.popleft()
            self._bytes -= size
            self._room.set()
            try:
                await step(session)
            except native.ConnectionClosedError:
                self._steps.appendleft((size, step))
                self._bytes += size
                if session is self._session:  # over, which is told later
                    self._session = None
            except Exception as error:  # one that can't be done must not stop those behind it
                self._on_error(error)
        self._worker = None
        self._work()
