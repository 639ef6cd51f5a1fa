"""The seam: a line of bytes to another interpreter, and the end of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from agents_core.hosts.host import Host


class Receiver(Protocol):
    """Who hears what comes through a pipe."""

    def arrived(self, data: bytes) -> None:
        """Some bytes of the other side; the chunks need not be those that were posted."""
        ...

    def lost(self, reason: str) -> None:
        """The other side is gone, and why, for people. Called once, also after `terminate`."""
        ...


class Line(Protocol):
    """To another interpreter."""

    def post(self, data: bytes) -> None:
        """Send; in order, each byte once, unless the other side is lost."""
        ...


class Pipe(Line, Protocol):
    """To an interpreter that was started here."""

    def terminate(self) -> None:
        """End the other side at once, whatever it does. `lost` tells when it is gone."""
        ...


Opener: TypeAlias = Callable[[Host, Receiver], Awaitable[Pipe]]
"""Starts an interpreter with a `Guest` in it. Raises `AgentsError` if it can't be started."""
