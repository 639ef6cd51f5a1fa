"""What a host's worker runs: called once by `host.mjs`."""

from __future__ import annotations

from typing import Any

from pyodide.ffi import to_js

from agents_browser import eventloop
from agents_browser.pump import pump
from agents_core.hosts.guest import Guest


class PortLine:
    """The `Line` to the parent.

    Args:
        line: `port`, `post` and `heap` of `host.mjs`.
    """

    def __init__(self, line: Any) -> None:
        self._line = line

    def post(self, data: bytes) -> None:
        """See `Line.post`."""
        self._line.post(to_js(data))


def run(line: Any) -> None:
    """Begin to run agents; the parent terminates this worker when it has no more use for it."""
    eventloop.install()
    guest = Guest(line.heap, lambda: None)
    pump().listen(line.port, guest.arrived)
    guest.attach(PortLine(line))
