"""What asyncio promises of callbacks and timers, to every loop that we run on.

CPython's own loops keep these; the tests of the browser run the same list inside Pyodide.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from typing import Any

import pytest

NAME = contextvars.ContextVar("NAME", default="outside")


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# -- order


async def test_callbacks_run_in_the_order_of_their_calls() -> None:
    loop, ran = asyncio.get_running_loop(), []
    done = loop.create_future()
    for number in range(1000):
        loop.call_soon(ran.append, number)
    loop.call_soon(done.set_result, None)
    await done
    assert ran == list(range(1000))


async def test_a_callback_never_runs_inside_call_soon() -> None:
    loop, ran = asyncio.get_running_loop(), []
    loop.call_soon(ran.append, 1)
    assert ran == []
    await turns()
    assert ran == [1]


async def test_what_a_callback_schedules_runs_after_what_was_there() -> None:
    loop, ran = asyncio.get_running_loop(), []

    def first() -> None:
        ran.append("first")
        loop.call_soon(ran.append, "first's")

    loop.call_soon(first)
    loop.call_soon(ran.append, "second")
    await turns()
    assert ran == ["first", "second", "first's"]


async def test_tasks_that_yield_take_turns() -> None:
    ran: list[str] = []

    async def steps(name: str) -> None:
        for step in range(3):
            ran.append(f"{name}{step}")
            await asyncio.sleep(0)

    await asyncio.gather(steps("a"), steps("b"), steps("c"))
    assert ran == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


async def test_call_soon_threadsafe_keeps_the_order_too() -> None:
    loop, ran = asyncio.get_running_loop(), []
    loop.call_soon(ran.append, 1)
    loop.call_soon_threadsafe(ran.append, 2)
    loop.call_soon(ran.append, 3)
    await turns()
    assert ran == [1, 2, 3]


async def test_a_cancelled_callback_does_not_run() -> None:
    loop, ran = asyncio.get_running_loop(), []
    handle = loop.call_soon(ran.append, "cancelled")
    loop.call_soon(ran.append, "other")
    handle.cancel()
    await turns()
    assert ran == ["other"]
    assert handle.cancelled()


async def test_a_callback_can_cancel_the_next() -> None:
    loop, ran = asyncio.get_running_loop(), []
    loop.call_soon(lambda: handle.cancel())  # noqa: PLW0108  # there is none yet
    handle = loop.call_soon(ran.append, "cancelled")
    await turns()
    assert ran == []


# -- timers


async def test_a_timer_is_never_early() -> None:
    loop = asyncio.get_running_loop()
    for delay in (0.0005, 0.001, 0.0015, 0.002, 0.0049, 0.01):
        done = loop.create_future()
        began = loop.time()
        loop.call_later(delay, lambda: done.set_result(loop.time()))  # noqa: B023
        assert await done - began >= delay - 1e-6


async def test_timers_run_in_the_order_of_their_deadlines() -> None:
    loop, ran = asyncio.get_running_loop(), []
    done = loop.create_future()
    now = loop.time()
    for step in (3, 1, 5, 2, 4):
        loop.call_at(now + step / 500, ran.append, step)
    loop.call_at(now + 6 / 500, done.set_result, None)
    await done
    assert ran == [1, 2, 3, 4, 5]


async def test_a_timer_that_is_due_goes_behind_what_is_ready() -> None:
    loop, ran = asyncio.get_running_loop(), []
    loop.call_later(0, ran.append, "timer")
    loop.call_soon(ran.append, "soon")
    while len(ran) < 2:
        await asyncio.sleep(0)
    assert ran == ["soon", "timer"]


@pytest.mark.parametrize("delay", [0, -1, -math.inf])
async def test_a_deadline_of_the_past_is_due_at_once(delay: float) -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_later(delay, done.set_result, "later")
    assert await done == "later"
    done = loop.create_future()
    loop.call_at(loop.time() + delay, done.set_result, "at")
    assert await done == "at"


async def test_a_timer_knows_its_deadline() -> None:
    loop = asyncio.get_running_loop()
    timer = loop.call_at(loop.time() + 100, lambda: None)
    assert timer.when() == pytest.approx(loop.time() + 100, abs=1)
    timer.cancel()
    assert timer.cancelled()


async def test_a_cancelled_timer_does_not_run() -> None:
    loop, ran = asyncio.get_running_loop(), []
    timers = [loop.call_later(0.002, ran.append, number) for number in range(500)]
    for timer in timers[::2] + timers[:10]:  # some of them twice
        timer.cancel()
    await asyncio.sleep(0.01)
    assert ran == [number for number in range(500) if number % 2 and number >= 10]


async def test_a_timer_that_is_due_can_still_be_cancelled() -> None:
    loop, ran = asyncio.get_running_loop(), []
    when = loop.time() + 0.002
    done = loop.create_future()
    loop.call_at(when - 0.0001, lambda: timer.cancel())  # noqa: PLW0108  # there is none yet
    timer = loop.call_at(when, ran.append, "cancelled")
    loop.call_at(when + 0.0001, done.set_result, None)
    await done
    assert ran == []


async def test_timers_are_served_while_a_task_never_rests() -> None:
    loop, ran = asyncio.get_running_loop(), []
    for number in range(5):
        loop.call_later(0.005 * number, ran.append, number)
    while len(ran) < 5:
        await asyncio.sleep(0)
    assert ran == [0, 1, 2, 3, 4]


async def test_a_timer_without_end_waits() -> None:
    loop, ran = asyncio.get_running_loop(), []
    timers = [loop.call_later(delay, ran.append, delay) for delay in (1e9, 30 * 86_400)]
    await asyncio.sleep(0.01)
    assert ran == []
    for timer in timers:
        timer.cancel()


# -- exceptions


async def test_an_exception_is_reported_and_the_others_run() -> None:
    loop, ran = asyncio.get_running_loop(), []
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    error = ValueError("text")

    def fails() -> None:
        raise error

    handle = loop.call_soon(fails)
    loop.call_soon(ran.append, "other")
    timer = loop.call_later(0.001, fails)
    loop.call_later(0.002, ran.append, "later")
    while len(ran) < 2:
        await asyncio.sleep(0)
    loop.set_exception_handler(None)
    assert ran == ["other", "later"]
    assert [context["exception"] for context in complaints] == [error, error]
    assert [context["handle"] for context in complaints] == [handle, timer]
    assert "fails" in complaints[0]["message"]


async def test_an_exception_handler_that_fails_stops_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    loop, ran = asyncio.get_running_loop(), []

    def bad_handler(_: object, __: object) -> None:
        raise RuntimeError("handler")

    loop.set_exception_handler(bad_handler)
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(ran.append, "other")
    await turns()
    loop.set_exception_handler(None)
    assert ran == ["other"]
    # CPython's loop logs it, Pyodide's writes it to stderr.
    assert "Unhandled error in exception handler" in caplog.text + capfd.readouterr().err


# -- contexts


async def test_a_callback_sees_the_variables_of_its_call() -> None:
    loop, seen = asyncio.get_running_loop(), []

    def look() -> None:
        seen.append(NAME.get())
        NAME.set("changed by the callback")

    for name in ("a", "b"):
        NAME.set(name)
        loop.call_soon(look)
        loop.call_later(0, look)
    NAME.set("c")
    while len(seen) < 4:
        await asyncio.sleep(0)
    assert seen == ["a", "b", "a", "b"]
    assert NAME.get() == "c"


async def test_a_callback_can_be_given_a_context() -> None:
    loop, seen = asyncio.get_running_loop(), []
    context = contextvars.copy_context()
    context.run(NAME.set, "given")
    loop.call_soon(lambda: seen.append(NAME.get()), context=context)
    loop.call_later(0, lambda: seen.append(NAME.get()), context=context)
    loop.call_at(loop.time(), lambda: NAME.set("by the callback"), context=context)
    while context[NAME] != "by the callback":
        await asyncio.sleep(0)
    assert seen == ["given", "given"]
    assert NAME.get() == "outside"
