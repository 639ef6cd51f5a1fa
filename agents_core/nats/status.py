"""The status of a connection, and who wants to know when it changes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from weakref import WeakSet

from agents_core.bus import Status
from agents_core.listeners import Listeners

CHANGES_MAX = 1000
"""Changes kept for a reader that does not keep up; then the oldest are forgotten."""


class StatusHolder:
    """Holds the status and tells its listeners about each change, in the order they came."""

    def __init__(self, value: Status) -> None:
        self.value = value
        self._listeners: Listeners[[Status]] = Listeners()
        self._readers: WeakSet[StatusChanges] = WeakSet()  # one that was left is forgotten

    @property
    def is_live(self) -> bool:
        """Neither closed nor about to be: it may begin things."""
        return self.value is not Status.DRAINING and self.value is not Status.CLOSED

    def set(self, value: Status) -> None:
        """Change the status; the same one again is no change."""
        if value != self.value:
            self.value = value
            for reader in list(self._readers):
                reader.add(value)
            self._listeners.call(value)

    def listen(self, listener: Callable[[Status], None]) -> Callable[[], None]:
        """Add a listener; the returned function takes it away, any number of times."""
        return self._listeners.add(listener)

    def changes(self) -> StatusChanges:
        """Each change from now on, until it is closed."""
        reader = StatusChanges()
        if self.value is Status.CLOSED:
            reader.add(self.value)
        self._readers.add(reader)
        return reader


class StatusChanges(AsyncIterator[Status]):
    """The changes of a status, as an async iterator that ends behind `closed`."""

    def __init__(self) -> None:
        self._changes: deque[Status] = deque(maxlen=CHANGES_MAX)
        self._news = asyncio.Event()
        self._over = False

    def add(self, value: Status) -> None:
        """One more."""
        self._changes.append(value)
        self._news.set()

    async def __anext__(self) -> Status:
        while not self._changes:
            if self._over:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        value = self._changes.popleft()
        self._over = value is Status.CLOSED
        return value
