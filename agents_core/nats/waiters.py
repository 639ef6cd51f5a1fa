"""Who waits for something to come, served in turn."""

from __future__ import annotations

import asyncio
from collections import deque


class Waiters(deque[asyncio.Future[None]]):
    """One future for each that waits, in the order they came; none where nobody does."""

    __slots__ = ()

    async def wait(self) -> None:
        """Return when it is the caller's turn to look whether what it waits for has come."""
        waiter = asyncio.get_running_loop().create_future()
        self.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.wake()  # woken and cancelled in one turn: what came is somebody else's
            elif waiter in self:  # else it was passed over meanwhile
                self.remove(waiter)
            raise

    def wake(self) -> None:
        """Something has come: it is the turn of the next, if there is one."""
        while self:
            waiter = self.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def wake_all(self) -> None:
        """There is something for all, or nothing will come any more."""
        while self:
            self.wake()
