"""Many deadlines on one timer of the loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents_core.errors import Unsupported
from agents_core.timers import CANCELLED_MAX, Timers
from tests.core.nats.scripted import unhandled, until


async def test_deadlines_fire_in_their_order() -> None:
    timers, fired = Timers(), []
    for name, seconds in (("c", 0.003), ("a", 0.001), ("b", 0.002)):
        timers.after(seconds, lambda name=name: fired.append(name))
    await until(lambda: len(fired) == 3)
    assert fired == ["a", "b", "c"]


async def test_a_deadline_that_has_passed_fires_in_a_later_turn() -> None:
    timers, fired = Timers(), []
    timers.after(-1, lambda: fired.append(1))
    assert not fired
    await until(lambda: fired)


async def test_one_that_is_cancelled_never_fires() -> None:
    timers, fired = Timers(), []
    first = timers.after(0, lambda: fired.append("cancelled"))
    last = timers.after(0.001, lambda: fired.append("kept"))
    first.cancel()
    first.cancel()
    await until(lambda: fired)
    last.cancel()
    assert fired == ["kept"]


async def test_one_that_raises_does_not_stop_the_others() -> None:
    timers, fired = Timers(), []
    with unhandled() as errors:
        timers.after(0, lambda: 1 / 0)
        timers.after(0, lambda: fired.append(1))
        await until(lambda: fired)
        assert [type(error) for error in errors] == [ZeroDivisionError]


async def test_callbacks_may_cancel_and_add() -> None:
    timers, fired = Timers(), []
    timers.after(0, lambda: (later.cancel(), timers.after(0, lambda: fired.append("added"))))
    later = timers.after(0.0001, lambda: fired.append("cancelled"))
    await until(lambda: fired)
    assert fired == ["added"]


async def test_cancelled_ones_do_not_pile_up() -> None:
    timers, fired = Timers(), []
    timers.after(0.001, lambda: fired.append(1))
    for _ in range(10 * CANCELLED_MAX):
        timers.after(60, fired.clear).cancel()
        assert len(timers._heap) <= CANCELLED_MAX + 2
    await until(lambda: fired)
    many = [timers.after(60, fired.clear) for _ in range(CANCELLED_MAX + 1)]
    for timer in many:
        timer.cancel()
    assert timers._wake is None or len(timers._heap) <= CANCELLED_MAX


async def test_nothing_fires_after_close() -> None:
    timers, fired = Timers(), []
    timer = timers.after(0, lambda: fired.append(1))
    timers.close()
    timers.close()
    timer.cancel()
    await asyncio.sleep(0.002)  # an event that must not come can only be waited for by time
    assert not fired
    timers.after(0, lambda: fired.append(2))
    await until(lambda: fired)
    assert fired == [2]


async def test_a_call_that_comes_early_looks_again() -> None:
    timers, fired = Timers(), []
    timers.after(0.002, lambda: fired.append(1))
    timers._fire()
    assert not fired
    await until(lambda: fired)


@pytest.mark.parametrize("wrong", [float("nan"), None, "1"])
async def test_what_is_no_number_of_seconds_is_refused_and_the_others_fire(wrong: Any) -> None:
    timers, fired = Timers(), []
    with pytest.raises(ValueError, match="not a number of seconds"):
        timers.after(wrong, fired.clear)
    timers.after(0, lambda: fired.append(1))
    await until(lambda: fired)
    assert not timers._heap


async def test_another_event_loop_is_told_how_to_call(monkeypatch: pytest.MonkeyPatch) -> None:
    timers = Timers()
    monkeypatch.setattr(timers, "_loop", object())
    monkeypatch.setattr("agents_core.timers.ONE_LOOP", False)
    with pytest.raises(Unsupported, match="run_coroutine_threadsafe"):
        timers.after(1, list)


async def test_a_timeout_on_the_heap() -> None:
    timers = Timers()
    async with timers.timeout(60):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with timers.timeout(0.001):
            await asyncio.Event().wait()
    with pytest.raises(ValueError, match="its own"):
        async with timers.timeout(60):
            raise ValueError("its own")
    timers.close()


async def test_a_timeout_is_not_taken_for_a_cancellation_from_outside() -> None:
    timers, begun = Timers(), asyncio.Event()

    async def wait() -> None:
        async with timers.timeout(60):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    timers.close()
