"""What a host's worker runs: called once by `host.mjs`."""

from __future__ import annotations

import asyncio
from typing import Any

from pyodide.ffi import to_js

from agents_browser import eventloop, log
from agents_browser.pump import pump
from agents_core.hosts.guest import Guest


class PortLine:
    """The `Line` to the parent.

    Args:
        line: `port`, `post`, `heap` and `fail` of `host.mjs`.
    """

    def __init__(self, line: Any) -> None:
        self._line = line

    def post(self, data: bytes) -> None:
        """See `Line.post`."""
        self._line.post(to_js(data))


def run(line: Any) -> None:
    """Begin to run agents; the parent terminates this worker when it has no more use for it."""
    eventloop.install()
    asyncio.get_running_loop().set_exception_handler(log.report)
    guest = Guest(line.heap, lambda: None)

    def arrived(data: bytes) -> None:
        try:
            guest.arrived(data)
        except Exception as error:  # a part of what came is lost
            line.fail(f"{type(error).__name__}: {error}")

    pump().listen(line.port, arrived)
    guest.attach(PortLine(line))
