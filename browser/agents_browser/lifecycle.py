"""What happens to the tab, as its node and its agents are told (docs/lifecycle.md)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from agents_core import Node
from agents_core.errors import InvalidMessage

LEAVE_S = 0.05
"""Seconds that agents have for `on_suspend` when the tab is left or frozen: at most half of what
the page waits then. The rest is for the good-bye, which must not wait for a handler."""

PULSE_S = 1.0
"""Seconds between two looks at the clock."""

LEAVES = ("freeze", "pagehide")
"""Events after which nothing may run here."""

SLEEP_S = 5.0
"""Seconds that a look has to come too late to be taken for a sleep: a handler that computes can be
in its way for a while."""


class Lifecycle:
    """Turns what a browser tells a page into what a node understands.

    A sleep that nobody announced, as of the whole machine, is known by the clock on the wall: it
    goes on while nothing runs here.

    Args:
        node: of the tab.
        spawn: runs something beside everything else.
    """

    def __init__(self, node: Node, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._node = node
        self._spawn = spawn
        self._turn = asyncio.Lock()
        self._patience: asyncio.Timeout | None = None  # with what the agents are told now
        self._must_leave = False
        self._suspended = False
        self._left_at: float | None = None
        self._looked_at = time.time()
        self._look_later()

    async def take(self, event: str) -> None:
        """Do what an event of the page asks for; one after the other.

        Raises:
            InvalidMessage: there is no such event.
        """
        if event in LEAVES:
            self._hurry()
        async with self._turn:
            match event:
                case "hidden":
                    self._suspended = True
                    await self._tell(self._node.suspend("hidden"))
                case "freeze":
                    await self._leave("frozen")
                case "pagehide":
                    await self._leave("cached")
                case "visible" | "resume" | "pageshow":
                    await self._come_back()
                case "online" | "offline":  # hints only: the connection itself is asked
                    await self._node.bus.resume()
                case other:
                    raise InvalidMessage(f"no event {other!r} of a page")

    def _hurry(self) -> None:
        """The good-bye must not wait for handlers that are in the way of an earlier event."""
        if self._patience is not None and not self._must_leave:
            self._patience.reschedule(0)
        self._must_leave = True

    async def _tell(self, told: Coroutine[Any, Any, None]) -> None:
        """Wait until the agents were told, unless the tab is left."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if self._must_leave else None) as patience:
                self._patience = patience
                try:
                    await told
                finally:
                    self._patience = None

    async def _leave(self, why: str) -> None:
        self._suspended, self._left_at = True, time.time()
        self._must_leave = False
        await self._node.suspend(why, leave=True, within=LEAVE_S)

    async def _come_back(self) -> None:
        """A browser says it several times, as by `resume` and then `visible`."""
        if not self._suspended:
            return
        self._suspended = False
        self._looked_at = now = time.time()
        slept, self._left_at = now - (self._left_at or now), None
        # The clock may have been put back.
        await self._tell(self._node.resume(max(0.0, slept)))

    def _look_later(self) -> None:
        self._node.timers.after(PULSE_S, self._look)

    def _look(self) -> None:
        before, self._looked_at = self._looked_at, time.time()
        slept = self._looked_at - before - PULSE_S
        if slept > SLEEP_S and self._left_at is None:  # else an event will tell
            self._spawn(self._woken(slept))
        self._look_later()

    async def _woken(self, slept: float) -> None:
        async with self._turn:
            self._suspended = False
            await self._tell(self._node.resume(slept))
