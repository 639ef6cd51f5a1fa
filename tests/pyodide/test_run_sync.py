"""`run_sync` in callbacks: one suspends, the others go on."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable
from typing import Any

import js
import pytest
from pyodide.ffi import can_run_sync, run_sync

from agents_browser import eventloop

NAME = contextvars.ContextVar("NAME", default="outside")


@pytest.fixture(autouse=True)
def installed() -> None:
    assert eventloop.install()


async def done(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def test_every_callback_may_suspend() -> None:
    loop, found = asyncio.get_running_loop(), []
    loop.call_soon(lambda: found.append(can_run_sync()))
    loop.call_later(0.001, lambda: found.append(can_run_sync()))
    await done(lambda: len(found) == 2)
    assert found == [True, True]


async def test_a_suspended_callback_holds_nobody_up() -> None:
    loop, ran = asyncio.get_running_loop(), []

    def suspends() -> None:
        ran.append("begins")
        run_sync(asyncio.sleep(0.2))
        ran.append("ends")

    def follows() -> None:
        ran.append("follows")
        loop.call_soon(ran.append, "follows' own")

    loop.call_soon(ran.append, "before")
    loop.call_soon(suspends)
    loop.call_soon(follows)
    loop.call_soon(ran.append, "last")
    loop.call_later(0.1, ran.append, "timer")
    await done(lambda: "ends" in ran)
    assert ran == ["before", "begins", "follows", "last", "follows' own", "timer", "ends"]


async def test_what_is_scheduled_after_it_resumes_runs_in_order() -> None:
    loop, ran = asyncio.get_running_loop(), []

    def suspends() -> None:
        run_sync(asyncio.sleep(0.002))
        for number in range(3):
            loop.call_soon(ran.append, number)
        loop.call_later(0.001, ran.append, "timer")

    loop.call_soon(suspends)
    await done(lambda: "timer" in ran)
    assert ran == [0, 1, 2, "timer"]


async def test_a_suspended_callback_in_an_idle_loop_is_resumed() -> None:
    """Nothing else is scheduled: no drain comes but for the one that it waits for itself."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[str] = loop.create_future()

    def suspends() -> None:
        found.set_result(run_sync(js.Promise.resolve("from JavaScript")))

    loop.call_soon(suspends)
    assert await found == "from JavaScript"


async def test_several_suspend_and_end_in_another_order() -> None:
    loop, ran = asyncio.get_running_loop(), []
    order = ["c1", "a1", "b1", "a2", "c2", "b2"]
    futures = {name: loop.create_future() for name in order}

    def suspends(name: str) -> None:
        for step in (f"{name}1", f"{name}2"):
            run_sync(futures[step])
            ran.append(step)

    for name in "abc":
        loop.call_soon(suspends, name)
    await asyncio.sleep(0)
    for step, name in enumerate(order, 1):
        futures[name].set_result(None)
        await done(lambda step=step: len(ran) == step)
    assert ran == order


async def test_tasks_around_a_suspended_one() -> None:
    """The current task, the running loop and the variables are each task's own."""
    loop = asyncio.get_running_loop()

    async def work(name: str, wait: Callable[[float], Any]) -> str:
        NAME.set(name)
        mine = asyncio.current_task()
        for _ in range(5):
            found = wait(0.001)
            if asyncio.iscoroutine(found):
                await found
            assert asyncio.current_task() is mine
            assert asyncio.get_running_loop() is loop
            assert NAME.get() == name
        return name

    waits = [lambda seconds: run_sync(asyncio.sleep(seconds)), time.sleep, asyncio.sleep]
    names = [str(number) for number in range(9)]
    tasks = [work(name, waits[int(name) % 3]) for name in names]
    assert await asyncio.gather(*tasks) == names
    assert NAME.get() == "outside"


async def test_time_sleep_lets_the_others_work() -> None:
    ran: list[str] = []

    async def sleeps() -> None:
        time.sleep(0.01)  # noqa: ASYNC251  # Pyodide suspends here
        ran.append("slept")

    async def works() -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        ran.append("worked")

    await asyncio.gather(sleeps(), works())
    assert ran == ["worked", "slept"]


async def test_an_error_after_it_resumes_is_reported() -> None:
    loop, complaints, ran = asyncio.get_running_loop(), [], []

    def suspends() -> None:
        run_sync(asyncio.sleep(0.001))
        raise ValueError("after")

    loop.set_exception_handler(lambda _, context: complaints.append(context["exception"]))
    loop.call_soon(suspends)
    await done(lambda: bool(complaints))
    loop.set_exception_handler(None)
    loop.call_soon(ran.append, 1)
    await done(lambda: bool(ran))
    assert str(complaints[0]) == "after"


async def test_what_is_awaited_may_fail() -> None:
    loop = asyncio.get_running_loop()
    found: asyncio.Future[str] = loop.create_future()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("inside")

    def suspends() -> None:
        try:
            run_sync(fails())
        except ValueError as error:
            found.set_result(str(error))

    loop.call_soon(suspends)
    assert await found == "inside"


async def test_many_suspend_at_once() -> None:
    loop, ran = asyncio.get_running_loop(), []

    def suspends(number: int) -> None:
        run_sync(asyncio.sleep(0.001 * (number % 7)))
        ran.append(number)

    for number in range(100):
        loop.call_soon(suspends, number)
    await done(lambda: len(ran) == 100)
    assert sorted(ran) == list(range(100))


async def test_the_queue_can_be_removed_while_a_callback_is_suspended() -> None:
    loop, ran = asyncio.get_running_loop(), []

    def suspends() -> None:
        run_sync(asyncio.sleep(0.005))
        ran.append("resumed")
        loop.call_soon(ran.append, "its own")

    loop.call_soon(suspends)
    loop.call_soon(eventloop.uninstall)
    loop.call_soon(ran.append, "follows")
    while len(ran) < 3:
        # Not 0: a task that never rests starves the timers of Pyodide 0.29's own loop in Firefox.
        await asyncio.sleep(0.001)
    assert ran == ["follows", "resumed", "its own"]
