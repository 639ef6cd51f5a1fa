"""Many deadlines, one timer of the event loop.

In Pyodide every timer is a `setTimeout` that cancelling does not clear, and natively
`asyncio.wait_for` per request costs more than the request. A heap with a single pending call serves
any number of deadlines.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from heapq import heapify, heappop, heappush
from math import isnan

from agents_core.errors import Unsupported

ONE_LOOP = sys.platform == "emscripten"
"""In a tab all event loops are one: the browser's."""

INSTEAD = (
    "say asyncio.run_coroutine_threadsafe(…, loop) or loop.call_soon_threadsafe(…),"
    " with the loop that it was made in"
)

CANCELLED_MAX = 64
"""Cancelled entries kept before the heap is rebuilt, if they are also more than half of it."""


def check_seconds(seconds: float, name: str = "") -> None:
    """Refuse what is no number, None and NaN included: no deadline would ever come after it.

    Args:
        seconds: what is to be one.
        name: of the option that has it, if it is one.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(seconds, int | float) or isnan(seconds):
        raise ValueError(f"{name and name + ': '}{seconds!r} is not a number of seconds")


def within(seconds: float | None) -> asyncio.Timeout:
    """As `asyncio.timeout`, which NaN would make the loop lose all its other deadlines by.

    Raises:
        ValueError: see `check_seconds`, but None is for no end.
    """
    if seconds is not None:
        check_seconds(seconds)
    return asyncio.timeout(seconds)


class Timer:
    """One pending call; `cancel` takes it back."""

    __slots__ = ("__weakref__", "_callback", "_timers", "when")

    def __init__(self, when: float, callback: Callable[[], object], timers: Timers) -> None:
        self.when = when
        self._callback: Callable[[], object] | None = callback
        self._timers = timers

    def cancel(self) -> None:
        """Never call; does nothing if it was called or cancelled before."""
        if self._callback is not None:
            self._callback = None
            self._timers._forget()

    def _take(self) -> Callable[[], object] | None:
        callback, self._callback = self._callback, None
        return callback

    def __lt__(self, other: Timer) -> bool:
        return self.when < other.when


class Timers:
    """A heap of deadlines on the running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._heap: list[Timer] = []
        self._cancelled = 0
        self._wake: asyncio.TimerHandle | asyncio.Handle | None = None
        self._wake_at = 0.0

    def now(self) -> float:
        """Seconds on the loop's monotonic clock."""
        return self._loop.time()

    def check_loop(self) -> None:
        """Refuse another thread, or another event loop: whoever waits would never be woken.

        Raises:
            Unsupported: another event loop is running, or none.
        """
        if asyncio._get_running_loop() is not self._loop and not ONE_LOOP:
            raise Unsupported("what belongs to another event loop", INSTEAD)

    def after(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call `callback` once, `seconds` from now.

        Raises:
            ValueError: see `check_seconds`.
            Unsupported: see `check_loop`.
        """
        check_seconds(seconds)
        self.check_loop()
        timer = Timer(self.now() + seconds, callback, self)
        heappush(self._heap, timer)
        if self._heap[0] is timer:
            self._arm()
        return timer

    @asynccontextmanager
    async def timeout(self, seconds: float) -> AsyncIterator[None]:
        """As `asyncio.timeout`, with its deadline in this heap.

        Raises:
            TimeoutError: the block did not end in time.
            ValueError: see `check_seconds`.
        """
        async with asyncio.timeout(None) as scope:
            timer = self.after(seconds, lambda: scope.reschedule(self.now()))
            try:
                yield
            finally:
                timer.cancel()

    def close(self) -> None:
        """Forget every deadline."""
        self._heap.clear()
        self._cancelled = 0
        self._disarm()

    def _forget(self) -> None:
        self._cancelled += 1
        if self._cancelled > CANCELLED_MAX and self._cancelled * 2 > len(self._heap):
            self._heap = [timer for timer in self._heap if timer._callback is not None]
            heapify(self._heap)
            self._cancelled = 0
            self._arm()

    def _disarm(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None

    def _arm(self) -> None:
        """Have one call pending for the earliest deadline.

        A call that comes too early only looks again.
        """
        if not self._heap:
            self._disarm()
        elif self._wake is None or self._heap[0].when < self._wake_at:
            self._disarm()
            self._wake_at = self._heap[0].when
            self._wake = self._loop.call_later(max(0.0, self._wake_at - self.now()), self._fire)

    def _fire(self) -> None:
        self._wake = None
        now = self.now()
        while self._heap and self._heap[0].when <= now:
            callback = heappop(self._heap)._take()
            if callback is None:
                self._cancelled -= 1
                continue
            try:
                callback()
            except Exception as error:  # one deadline's fault is not the others'
                context = {"message": "a timer's callback raised", "exception": error}
                self._loop.call_exception_handler(context)
        self._arm()
