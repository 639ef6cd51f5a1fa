"""Pyodide's event loop, with the private names that are used here."""

import asyncio
from abc import ABCMeta
from collections.abc import AsyncGenerator, Callable
from typing import Any

class WebLoop(asyncio.AbstractEventLoop, metaclass=ABCMeta):
    _system_exit_handler: Callable[[object], None] | None
    _keyboard_interrupt_handler: Callable[[], None] | None

    def _asyncgen_firstiter_hook(self, generator: AsyncGenerator[Any, Any]) -> None: ...
    def _asyncgen_finalizer_hook(self, generator: AsyncGenerator[Any, Any]) -> None: ...

def scheduleCallback(callback: object, milliseconds: float) -> None: ...  # noqa: N802
