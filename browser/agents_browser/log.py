"""Python's log records in the browser's console, at the console's own levels."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import js

from agents_core import tracebacks


class ConsoleHandler(logging.Handler):
    """Writes each record to the console, at its own level: `agents.counter-1: text`."""

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        write = js.console.debug
        for level, found in (
            (logging.INFO, js.console.info),
            (logging.WARNING, js.console.warn),
            (logging.ERROR, js.console.error),
        ):
            if record.levelno >= level:
                write = found
        try:
            write(self.format(record))
        except Exception:  # as every handler: who logs wrongly must not fail by it
            self.handleError(record)


def report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """See `loop.set_exception_handler`; Pyodide's own writes pieces of it to stderr."""
    error = context.get("exception")
    text = tracebacks.text_of(error) if isinstance(error, BaseException) else ""
    message = context.get("message", "Unhandled exception in event loop")
    logging.getLogger("asyncio").error("%s", f"{message}\n{text}".rstrip())


def install(level: str = "INFO") -> None:
    """Send to the console what every logger records, from `level` on, and what nobody catches."""
    handler = ConsoleHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    asyncio.get_running_loop().set_exception_handler(report)
