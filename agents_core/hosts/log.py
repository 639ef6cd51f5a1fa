"""Log records of another interpreter, written here as if they came from here."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents_core.hosts.channel import Channel

TEXT_CHARS_MAX = 16_384
"""Characters of one record, its traceback included."""


class PipeHandler(logging.Handler):
    """Sends each record to the parent; those that the parent can't take in are left out.

    Args:
        channel: to the parent.
    """

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`; also for records of other threads."""
        if hasattr(record, "host") or not self._channel.room:
            return  # it has come through a pipe itself, or there is a flood
        try:
            text = self.format(record)[:TEXT_CHARS_MAX].encode("utf-8", "backslashreplace")
        except Exception:  # as every handler: who logs wrongly must not fail by it
            self.handleError(record)
            return
        fields = (record.name, record.levelno)
        if asyncio._get_running_loop() is self._loop:
            self._send(*fields, text)
        else:
            with suppress(RuntimeError):  # the loop is closed: nobody is there to be told
                self._loop.call_soon_threadsafe(self._send, *fields, text)

    def _send(self, name: str, level: int, text: bytes) -> None:
        self._channel.post("log", name, level, payload=text)
        self._channel.flush()  # what comes next may be an endless loop


def capture(channel: Channel, level: int) -> logging.Handler:
    """Send the records of every logger through the channel, from `level` on."""
    handler = PipeHandler(channel)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    return handler


def write(name: str, level: int, text: str, host: str) -> None:
    """Write a record that came through a pipe; its attribute `host` says from where."""
    logger = logging.getLogger(name)
    if logger.isEnabledFor(level):
        logger.log(level, "%s", text, extra={"host": host})
