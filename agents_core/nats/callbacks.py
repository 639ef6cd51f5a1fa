"""The user's callbacks: plain or async, and never able to harm the connection that calls them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Set

from agents_core.errors import CallbackCancelled, OutboundBufferFull, Unsupported

RUNNING_MAX = 1000
"""Async callbacks under way at once; one that hangs must not collect the errors of a whole day."""

RAISED = (Exception, asyncio.CancelledError)
"""What a callback may raise: it may wait for something that somebody else cancels."""

FUNCTION = "a function, plain or async"


class Callbacks:
    """Calls them; what they raise goes to the event loop's exception handler."""

    def __init__(self) -> None:
        self._running: set[asyncio.Future[None]] = set()

    def call(self, callback: Callable[..., Awaitable[None] | None] | None, *args: object) -> None:
        """Call one now, if there is one; an async one goes on by itself."""
        if callback is None:
            return
        if len(self._running) >= RUNNING_MAX:
            _unhandled(OutboundBufferFull(RUNNING_MAX, "callbacks"))
            return
        try:
            result = callback(*args)
        except RAISED as error:
            _unhandled(error)
            return
        if inspect.isawaitable(result):
            self.run(result)

    def run(self, work: Awaitable[None]) -> None:
        """Run something async beside everything else."""
        future = asyncio.ensure_future(work)
        self._running.add(future)
        future.add_done_callback(self._done)

    def _done(self, future: asyncio.Future[None]) -> None:
        self._running.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            _unhandled(error)

    async def settle(self, timeout: float, spared: Set[object] = frozenset()) -> None:
        """Wait until all have ended other than the caller itself, or that many seconds.

        Nor for those that are spared, as they wait for the caller.
        """
        if others := self._others(spared):
            await asyncio.wait(others, timeout=timeout)

    def cancel(self, spared: Set[object] = frozenset()) -> None:
        """End those that are still under way, but for the same."""
        for future in self._others(spared):
            future.cancel()

    def _others(self, spared: Set[object]) -> set[asyncio.Future[None]]:
        return self._running - spared - {asyncio.current_task()}


def check_callback(callback: object) -> None:
    """Look at what is to be called.

    Raises:
        Unsupported: it can't be, or has a `yield` in it: its body would never run.
    """
    if inspect.isgeneratorfunction(callback) or inspect.isasyncgenfunction(callback):
        raise Unsupported("a generator as a callback", f"give {FUNCTION}")
    if not callable(callback):
        raise Unsupported(f"a {type(callback).__name__} as a callback", f"give {FUNCTION}")


def is_async(callback: object) -> bool:
    """Whether it is to be awaited: a coroutine function, or an object that is called like one.

    A plain function around one is plain: many a decorator is there to begin a task. If it does
    return a coroutine, `check_result` says so.

    Raises:
        Unsupported: it can't be called.
    """
    check_callback(callback)
    call = type(callback).__call__
    return inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(call)


def refuse_reading(callback: object) -> None:
    """Nobody reads beside a callback, who would wait for ever or take messages from it.

    Raises:
        Unsupported: there is one.
    """
    if callback is not None:
        instead = "subscribe without `cb` to iterate or to ask for `next_msg`"
        raise Unsupported("reading what a callback gets", instead)


def check_result(result: object) -> None:
    """Look at what a plain callback has returned.

    Raises:
        Unsupported: a coroutine, which nobody awaits.
    """
    if inspect.iscoroutine(result):
        result.close()
        instead = "give a coroutine function, as `async def f(msg): await handle(msg)`"
        raise Unsupported("a coroutine from a plain callback", instead)


def failure(error: BaseException) -> Exception:
    """What to report of what a plain callback raised, one of `RAISED`."""
    if isinstance(error, Exception):
        return error
    cancelled = CallbackCancelled()
    cancelled.__cause__ = error
    return cancelled


def awaited_failure(error: BaseException) -> Exception:
    """The same of an async one.

    Raises:
        CancelledError: it is the task which awaits it that is being cancelled.
    """
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error
    return failure(error)


def _unhandled(error: BaseException) -> None:
    context = {"message": "a callback of the NATS client raised", "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)
