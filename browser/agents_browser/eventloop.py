"""One ready-queue for Pyodide's event loop, in place of one JavaScript message per callback.

Pyodide's `WebLoop` posts a message to the browser for every `call_soon`, that is for every step of
every task. Here callbacks wait in one queue, and one message drains it, for a limited time before
the browser has its turn again. Deadlines wait in one heap, with one JavaScript timer for the
earliest of them.

    import agents_browser.eventloop
    agents_browser.eventloop.install()

This needs nothing else of the project, in any page that runs Pyodide. docs/eventloop.md says what
it changes for a program and what stays as it was.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import sys
import warnings
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any

import js
from pyodide import webloop
from pyodide.ffi import create_proxy
from pyodide.webloop import WebLoop

__all__ = ["BUDGET_S", "install", "uninstall"]

BUDGET_S = 0.008
"""Seconds that callbacks run before the browser has its turn: half of a frame at 60 Hz."""

STRIDE_MAX = 16
"""Callbacks between two looks at the clock; a look costs a quarter of a short callback."""

SHORT_S = 0.0005
"""Callbacks that took longer, all of a stride together, are timed one by one."""

CANCELLED_MIN = 100
"""Cancelled timers that may lie in the heap before it is built anew without them."""

TIMEOUT_MS_MAX = 2**31 - 1
"""The longest `setTimeout`, 24.8 days; what is due later is looked at again then."""

CONFIRM_TURNS = 10
"""Turns of Pyodide's own loop after which the first drain must have run."""

TAKEN_OVER = ("call_soon", "call_later", "call_at", "_timer_handle_cancelled")
"""What an installed queue does for the loop; all the rest stays Pyodide's."""

RELIED_ON = (
    "_asyncgen_firstiter_hook",
    "_asyncgen_finalizer_hook",
    "_system_exit_handler",
    "_keyboard_interrupt_handler",
)
"""Private names of the loop that are used here."""


def install(*, budget: float = BUDGET_S) -> bool:
    """Have the running loop drain one ready-queue; a second call changes nothing.

    Args:
        budget: seconds of one drain. Less serves rendering and events sooner; more makes little
            faster.

    Returns:
        Whether it is in place. If not, because Pyodide is not what this was written for, a
        `RuntimeWarning` has said why, and the loop works as it did. That may also be found out
        later, if no drain ever comes: then Pyodide's own loop gets everything back, with the same
        warning.
    """
    loop = asyncio.get_running_loop()
    if _queue_of(loop) is None:
        try:
            ReadyQueue(_expected(loop), budget).take_over()
        except _Unexpected as unexpected:
            _warn(str(unexpected))
            return False
    return True


def uninstall() -> None:
    """Give the running loop back as it was, with what waits in the queue, in order."""
    queue = _queue_of(asyncio.get_running_loop())
    if queue is not None:
        queue.give_back()


def _queue_of(loop: asyncio.AbstractEventLoop) -> ReadyQueue | None:
    owner = getattr(loop.call_soon, "__self__", None)
    return owner if isinstance(owner, ReadyQueue) else None


class _Unexpected(Exception):
    """Something of Pyodide is not as this module knows it."""


def _expected(loop: asyncio.AbstractEventLoop) -> WebLoop:
    """The loop, if it is one that the queue can work for.

    Raises:
        _Unexpected: it is not; the text says why.
    """
    if type(loop) is not WebLoop:
        raise _Unexpected(f"the running loop is a {type(loop).__qualname__}, no WebLoop")
    for name in TAKEN_OVER:
        if name in vars(loop):
            raise _Unexpected(f"something else has replaced the loop's {name}")
    for name in (*TAKEN_OVER, *RELIED_ON):
        if not hasattr(loop, name):
            raise _Unexpected(f"the loop has no {name}")
    # What is to be replaced is one message per callback. A loop that works otherwise stays.
    code = getattr(WebLoop.call_later, "__code__", None)
    if code is None or "scheduleCallback" not in code.co_names:
        raise _Unexpected("the loop's call_later does not call scheduleCallback")
    if not hasattr(webloop, "scheduleCallback"):
        raise _Unexpected("there is no scheduleCallback")
    return loop


def _warn(reason: str) -> None:
    text = f"the event loop stays Pyodide's own, agents_browser.eventloop is not in use: {reason}"
    warnings.warn(text, RuntimeWarning, stacklevel=3)


class Timer(asyncio.TimerHandle):
    """A callback with a deadline."""

    __slots__ = ("waiting",)
    waiting: bool
    """Whether it is in the heap and not cancelled."""


class ReadyQueue:
    """The callbacks of one loop that are ready to run, and the timers that will be.

    A *drain* runs them, on one message of the browser. While `_awake` a drain is under way or will
    come, and nothing has to be done for a callback but append it.

    A callback may suspend its drain: `run_sync` puts the whole stack aside and lets the browser go
    on. Nobody tells us, so each drain leaves a microtask behind, which the browser runs when the
    drain has ended or is suspended, whichever is first. If it is suspended, the next drain takes
    over the queue; the old one, once resumed, ends after the callback that suspended it.

    Args:
        loop: the loop to work for.
        budget: seconds of a drain.
    """

    def __init__(self, loop: WebLoop, budget: float) -> None:
        self._loop = loop
        self._budget = budget
        self._ready: deque[asyncio.Handle] = deque()
        self._awake = False
        self._draining = False
        self._turn = 0
        self._given_back = False
        # (deadline, number, timer): of one deadline the older comes first.
        self._timers: list[tuple[float, int, Timer]] = []
        self._timers_made = 0
        self._timers_cancelled = 0
        self._alarm: tuple[float, object] | None = None

        callbacks = (self._drain, self._after_drain, self._ring, self._find_out)
        self._proxies = [create_proxy(callback) for callback in callbacks]
        drain, self._on_microtask, self._on_timeout, self._on_found = self._proxies
        # `callPromising` is what lets a callback use `run_sync`, where the browser can do it.
        can_suspend = hasattr(js.WebAssembly, "Suspending")
        self._on_message = drain.callPromising.bind(drain) if can_suspend else drain
        self._waits_by_itself = False
        self._post_message = webloop.scheduleCallback
        self._queue_microtask = js.queueMicrotask
        self._set_timeout, self._clear_timeout = js.setTimeout, js.clearTimeout

    # -- what callers of the loop call

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """See `asyncio.loop.call_soon`."""
        handle = asyncio.Handle(callback, args, self._loop, context)
        self._ready.append(handle)
        if not self._awake:
            self._wake()
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See `asyncio.loop.call_later`."""
        return self.call_at(self._loop.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See `asyncio.loop.call_at`; NaN is due at once: no heap can hold it in its place."""
        if math.isnan(when):
            when = self._loop.time()
        timer = Timer(when, callback, args, self._loop, context)
        timer.waiting = True
        self._timers_made += 1
        heapq.heappush(self._timers, (when, self._timers_made, timer))
        if not self._awake:
            self._set_alarm()
        return timer

    def _timer_handle_cancelled(self, timer: asyncio.TimerHandle) -> None:
        if not isinstance(timer, Timer) or not timer.waiting:
            return
        timer.waiting = False
        self._timers_cancelled += 1
        if self._timers_cancelled > max(CANCELLED_MIN, len(self._timers) // 2):
            self._timers = [entry for entry in self._timers if entry[2].waiting]
            heapq.heapify(self._timers)
            self._timers_cancelled = 0
        if not self._awake:
            self._set_alarm()

    # -- drains

    def _wake(self) -> None:
        if self._given_back:
            self._hand_over()
            return
        self._awake = True
        if self._waits_by_itself:
            self._queue_microtask(self._on_message)
        else:
            self._post_message(self._on_message, 0)

    def _find_out(self) -> None:
        """Whether `callPromising` waits for a message before it calls, as Pyodide's does since 314.

        Then a message of ours before it would be one too many for each drain. It was called just
        now, for the first drain: if that has not come yet, it waits.
        """
        self._waits_by_itself = self._turn == 0

    def _drain(self, *_: object) -> None:
        """Run what is ready until nothing is, or the time is up."""
        if self._given_back:  # its message was on its way
            return
        self._turn = turn = self._turn + 1
        loop = self._loop
        try:
            self._draining = True
            self._queue_microtask(self._on_microtask)
            # They belong to the thread state, which with stack switching is another each time.
            sys.set_asyncgen_hooks(loop._asyncgen_firstiter_hook, loop._asyncgen_finalizer_hook)
            self._run(turn)
        except SystemExit as exit:
            if loop._system_exit_handler is None:
                raise
            loop._system_exit_handler(exit.code)
        except KeyboardInterrupt:
            if loop._keyboard_interrupt_handler is None:
                raise
            loop._keyboard_interrupt_handler()
        finally:
            if self._turn == turn:
                self._settle()

    def _run(self, turn: int) -> None:
        loop, ready = self._loop, self._ready
        get_running_loop, set_running_loop = asyncio._get_running_loop, asyncio._set_running_loop
        now = loop.time()
        end, stride = now + self._budget, 1
        while True:
            if self._is_due(now):
                self._collect(now)
            for _ in range(stride):
                if not ready:
                    break
                handle = ready.popleft()
                if handle._cancelled:
                    continue
                # A new WebLoop, which is what `asyncio.new_event_loop` makes, sets itself running.
                if get_running_loop() is not loop:
                    set_running_loop(loop)
                handle._run()
                if self._turn != turn:
                    return
            began, now = now, loop.time()
            if now >= end or not (ready or self._is_due(now)):
                return
            stride = min(stride * 2, STRIDE_MAX) if now - began < SHORT_S else 1

    def _is_due(self, now: float) -> bool:
        return bool(self._timers) and self._timers[0][0] <= now

    def _collect(self, now: float) -> None:
        """Move the timers that are due into the queue: as in asyncio, behind what is there."""
        while self._is_due(now):
            timer = heapq.heappop(self._timers)[2]
            if timer.waiting:
                timer.waiting = False
                self._ready.append(timer)
            else:
                self._timers_cancelled -= 1

    def _settle(self) -> None:
        """See to it that a drain comes when there is something to do."""
        if self._ready:
            self._wake()
        else:
            self._awake = False
            self._set_alarm()
        self._draining = False  # last: if something interrupts us, the microtask does it again

    def _after_drain(self) -> None:
        if self._draining:
            self._turn += 1
            self._settle()

    # -- the JavaScript timer

    def _set_alarm(self) -> None:
        """Have the one JavaScript timer ring at the first deadline, or not at all if none is."""
        timers = self._timers
        while timers and not timers[0][2].waiting:
            heapq.heappop(timers)
            self._timers_cancelled -= 1
        when = timers[0][0] if timers else math.inf
        if self._alarm is not None:
            # One that rings early is cheaper than a new one for each deadline that moves on.
            if self._alarm[0] <= when < math.inf:
                return
            self._clear_timeout(self._alarm[1])
            self._alarm = None
        if when == math.inf:
            return
        seconds = when - self._loop.time()
        if seconds <= 0 or self._given_back:
            self._wake()
            return
        milliseconds = min(math.ceil(seconds * 1000), TIMEOUT_MS_MAX)
        self._alarm = when, self._set_timeout(self._on_timeout, milliseconds)

    def _ring(self, *_: object) -> None:
        self._alarm = None
        if not self._awake:
            self._wake()

    # -- installing and removing

    def take_over(self) -> None:
        """Stand in for the loop's own methods."""
        for name in TAKEN_OVER:
            setattr(self._loop, name, getattr(self, name))
        self._awake = True
        self._queue_microtask(self._on_message)
        self._queue_microtask(self._on_found)
        self._confirm(CONFIRM_TURNS)

    def _confirm(self, turns: int) -> None:
        """Give back if no drain has come: a dead loop would be worse than a slow one."""
        if self._turn > 0 or self._given_back:
            return
        if turns > 0:
            # The class's own: it knows nothing of us.
            type(self._loop).call_later(self._loop, 0, self._confirm, turns - 1)
        else:
            self.give_back()
            _warn("Pyodide runs no drain")

    def give_back(self) -> None:
        """Let the loop's own methods do their work again, with what is waiting here."""
        for name in TAKEN_OVER:
            delattr(self._loop, name)
        self._given_back = True
        self._turn += 1  # ends the drain that is under way
        self._awake = self._draining = False
        if self._alarm is not None:
            self._clear_timeout(self._alarm[1])
            self._alarm = None
        self._hand_over()
        # After the message that may be on its way to us.
        self._loop.call_soon(self._destroy)

    def _hand_over(self) -> None:
        """Pass everything on, now and for whoever has kept one of our methods."""
        ready, self._ready = self._ready, deque()
        timers, self._timers = sorted(self._timers), []
        for handle in ready:
            self._loop.call_soon(_run, handle)
        for when, _, timer in timers:
            if timer.waiting and when < math.inf:
                self._loop.call_later(max(0.0, when - self._loop.time()), _run, timer)

    def _destroy(self) -> None:
        for proxy in self._proxies:
            proxy.destroy()


def _run(handle: asyncio.Handle) -> None:
    if not handle.cancelled():
        handle._run()
