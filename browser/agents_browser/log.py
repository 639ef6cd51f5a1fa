"""Python's log records in the browser's console, at the console's own levels."""

from __future__ import annotations

import logging

import js


class ConsoleHandler(logging.Handler):
    """Writes each record to the console: `agents.counter-1: text`."""

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
        write(self.format(record))


def install(level: str = "INFO") -> None:
    """Send the records of every logger to the console, from `level` on."""
    handler = ConsoleHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
