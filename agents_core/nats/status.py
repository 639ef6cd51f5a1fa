"""The status of a connection, and who wants to know when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agents_core.bus import Status


class StatusHolder:
    """Holds the status and tells its listeners about each change, in the order they came."""

    def __init__(self, value: Status) -> None:
        self.value = value
        self._listeners: dict[object, Callable[[Status], None]] = {}

    def set(self, value: Status) -> None:
        """Change the status; the same one again is no change."""
        if value != self.value:
            self.value = value
            for listener in list(self._listeners.values()):
                try:
                    listener(value)
                except Exception as error:  # a listener must not stop a reconnect
                    context = {"message": "a listener for the status raised", "exception": error}
                    asyncio.get_running_loop().call_exception_handler(context)

    def listen(self, listener: Callable[[Status], None]) -> Callable[[], None]:
        """Add a listener; the returned function takes it away, any number of times."""
        key = object()
        self._listeners[key] = listener
        return lambda: self._listeners.pop(key, None) and None
