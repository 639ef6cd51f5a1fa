"""Who wants to be told of something."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Generic, ParamSpec

from agents_core.errors import Unsupported

P = ParamSpec("P")

INSTEAD = "give a plain function, which is called at once and may begin a task"


class Listeners(Generic[P]):
    """Functions that are called, in the order they were added, until they are taken away."""

    def __init__(self) -> None:
        self._listeners: dict[object, Callable[P, object]] = {}

    def add(self, listener: Callable[P, object]) -> Callable[[], None]:
        """Add a listener; the returned function takes it away, any number of times.

        Raises:
            Unsupported: it can't be called, or would have to be awaited.
        """
        if inspect.iscoroutinefunction(listener):
            raise Unsupported("an async listener", INSTEAD)
        if not callable(listener):
            raise Unsupported(f"{type(listener).__name__} as a listener", INSTEAD)
        key = object()
        self._listeners[key] = listener
        return lambda: self._listeners.pop(key, None) and None

    def call(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call each; what one raises goes to the event loop's exception handler.

        It must not come between an agent and its supervisor, or stop a reconnect.
        """
        for listener in list(self._listeners.values()):
            try:
                listener(*args, **kwargs)
            except (Exception, asyncio.CancelledError) as error:
                context = {"message": "a listener raised", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
