"""CPython's own tests of asyncio, on the one event loop of a page.

They are made for loops that each test makes, runs and closes. Here `new_event_loop` gives the
page's loop, and to run it until something is done is to suspend by `run_sync` until then. Tests
that come with a clock of their own get one: it stands still while something is ready, then jumps
to the next deadline.

Needs a browser with JSPI, the queue installed, and the `test` package of CPython on the path.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import traceback
import unittest
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any

import js
from pyodide.ffi import create_once_callable, run_sync
from pyodide.webloop import scheduleCallback

from agents_browser import eventloop

MODULES = ("futures", "futures2", "locks", "queues", "taskgroups", "tasks", "timeouts", "waitfor")

LOOP = asyncio.get_running_loop()
QUEUE = eventloop._queue_of(LOOP)
assert QUEUE is not None

set_running_loop = asyncio._set_running_loop


def run_until_complete(awaitable: Any) -> Any:
    """As the loop's method of that name, from code that may suspend and is in no task."""
    future = asyncio.ensure_future(awaitable, loop=LOOP)
    done = LOOP.create_future()

    def finished(_: object) -> None:
        if not done.done():
            done.set_result(None)

    if future is not awaitable:
        future._log_destroy_pending = False
    future.add_done_callback(finished)
    set_running_loop(LOOP)
    try:
        run_sync(done)  # not the future itself: an exception would come by way of JavaScript
    finally:
        set_running_loop(None)
        future.remove_done_callback(finished)
    return future.result()


class Runner:
    """As `asyncio.Runner`: what `IsolatedAsyncioTestCase` runs its tests with."""

    def __init__(self, **_: object) -> None:
        self._before = asyncio.all_tasks(LOOP)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return LOOP

    def run(self, coroutine: Any, *, context: Context | None = None) -> Any:
        return run_until_complete(LOOP.create_task(coroutine, context=context))

    def close(self) -> None:
        left = asyncio.all_tasks(LOOP) - self._before
        for task in left:
            task.cancel()
        if left:
            run_until_complete(asyncio.wait(left))


class Clock:
    """Time that is made up, for the loop and for the queue's one browser timer."""

    def __init__(self) -> None:
        self.now = 0.0
        LOOP.time = lambda: self.now
        LOOP.advance_time = self.advance
        QUEUE._set_timeout, QUEUE._clear_timeout = self.set_timeout, self.clear_timeout

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def set_timeout(self, ring: Callable[[], None], _: float) -> list[bool]:
        live = [True]

        def jump() -> None:
            if live[0]:
                self.now = max(self.now, QUEUE._alarm[0])
                QUEUE._ring()

        scheduleCallback(create_once_callable(jump), 0)
        return live

    def clear_timeout(self, live: list[bool]) -> None:
        live[0] = False


def new_test_loop(times: Callable[[], Iterator[float]] | None = None) -> asyncio.AbstractEventLoop:
    """As `TestLoop` of the suite."""
    if times is not None:
        Clock()
    return LOOP


class Outcomes(unittest.TestResult):
    """What became of each test; it leaves the page's loop as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: list[str] = []
        self.left: list[str] = []
        self.bad: dict[str, str] = {}
        self._loop_before = dict(vars(LOOP))

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().stopTest(test)
        for name in set(vars(LOOP)) - set(self._loop_before):
            delattr(LOOP, name)
        for name in eventloop.TAKEN_OVER:
            setattr(LOOP, name, self._loop_before[name])
        LOOP.set_task_factory(None)
        LOOP.set_exception_handler(None)
        QUEUE._set_timeout, QUEUE._clear_timeout = js.setTimeout, js.clearTimeout
        set_running_loop(None)

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        self.passed.append(test.id())

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        self.left.append(test.id())

    def addFailure(self, test: unittest.TestCase, error: Any) -> None:  # noqa: N802
        self.bad[test.id()] = "".join(traceback.format_exception(*error))

    addError = addFailure  # noqa: N815


def _prepare() -> None:
    from test import support

    support.requires_working_socket = lambda **_: None
    support.maybe_get_event_loop_policy = lambda: None
    from test.test_asyncio import utils

    utils.TestLoop = new_test_loop
    asyncio.Runner = Runner
    for module in (asyncio, asyncio.events):
        module.new_event_loop = lambda: LOOP
        module.set_event_loop = lambda _: None
    if not hasattr(asyncio.tasks, "_set_task_name"):  # Pyodide 0.29 looks for it in 3.13
        asyncio.tasks._set_task_name = lambda task, name: name and task.set_name(name)
    LOOP.run_until_complete = run_until_complete
    LOOP._ready = QUEUE._ready
    LOOP._default_executor = None


def _tests(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _tests(test)
        else:
            yield test


def run(left_out: set[str]) -> Outcomes:
    """Run the suite; to be called in a way that may suspend, and by no task."""
    set_running_loop(None)
    _prepare()
    outcomes = Outcomes()
    for name in MODULES:
        module = importlib.import_module(f"test.test_asyncio.test_{name}")
        for test in _tests(unittest.defaultTestLoader.loadTestsFromModule(module)):
            if f"{name}.{test.id().rpartition('.')[2]}" in left_out:
                outcomes.left.append(test.id())
            else:
                test.run(outcomes)
    sys.stderr.flush()
    set_running_loop(LOOP)
    return outcomes
